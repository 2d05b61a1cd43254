"""Callbacks: what they write into logs and onto disk."""

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import fgf_keras
from fgf_keras.config import parse_config
from fgf_keras.data.load import load_cohort
from fgf_keras.data.splits import stratified_splits
from fgf_keras.errors import DataError, FeatureError, ModelError
from fgf_keras.run_folder import RunFolder
from fgf_keras.training.best_checkpoint import BestCheckpoint
from fgf_keras.training.fit import fit
from fgf_keras.training.reward_warmup import RewardWarmup

SHAPE = (16, 16, 1)


def data(rng, count=8):
    mask = np.zeros((count, *SHAPE), np.float32)
    for k in range(count):
        mask[k, 3 : 8 + k % 4, 4:12] = 1
    return rng.uniform(0.2, 1, mask.shape).astype(np.float32), mask, np.arange(count) % 2


def network():
    keras.utils.set_random_seed(0)
    return fgf_keras.paper_cnn(SHAPE, filters=(3,), kernel_sizes=(3,), pool_size=4, dense=(4,))


def compiled(model):
    model.compile(keras.optimizers.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


FEATURES = [fgf_keras.Brightness(), fgf_keras.Extent()]


class Spy(keras.callbacks.Callback):
    """Remembers what the callbacks after it see."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(dict(logs))


def test_alignment_is_measured_as_explain_does_and_reaches_later_callbacks(rng):
    images, masks, labels = data(rng)
    model = compiled(fgf_keras.AlignmentModel(network(), FEATURES, reward="none"))
    spy = Spy()
    callback = fgf_keras.AlignmentCallback((images, masks), flow_every=2, flow_samples=5, batch_size=3)
    model.fit(
        {"image": images, "mask": masks}, labels, epochs=4, callbacks=[callback, spy], verbose=0, batch_size=8
    )
    frame = fgf_keras.explain(model, images, masks).to_frame()
    for name in ("brightness", "extent", "joint"):
        assert spy.seen[-1][f"val_S_{name}"] == pytest.approx(frame[f"S_{name}"].mean(), rel=1e-4)
        assert spy.seen[-1][f"val_F_{name}"] == pytest.approx(frame[f"F_{name}"][:5].mean(), rel=1e-4)
    flows = [logs["val_F_joint"] for logs in spy.seen]
    assert flows[0] == flows[1] != flows[2]
    assert flows[3] != flows[2], "the last epoch has a measurement of its own"


def test_it_watches_plain_keras_classifiers_too(rng):
    images, masks, labels = data(rng)
    spy = Spy()
    callback = fgf_keras.AlignmentCallback({"image": images, "mask": masks}, features=FEATURES)
    model = compiled(network())
    model.fit(images, labels, epochs=1, callbacks=[callback, spy], verbose=0)
    frame = fgf_keras.explain(model, images, masks, features=FEATURES).to_frame()
    assert spy.seen[0]["val_S_extent"] == pytest.approx(frame["S_extent"].mean(), rel=1e-4)


def test_scalars_are_in_tensorboard(rng, tmp_path):
    images, masks, labels = data(rng)
    callback = fgf_keras.AlignmentCallback((images, masks), features=FEATURES, log_dir=tmp_path)
    compiled(network()).fit(images, labels, epochs=3, callbacks=[callback], verbose=0)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    expected = {f"alignment/{kind}_{name}" for kind in "SF" for name in ("brightness", "extent", "joint")}
    assert set(events.Tags()["tensors"]) == expected
    assert [event.step for event in events.Tensors("alignment/S_joint")] == [0, 1, 2]


def test_undefined_alignment_is_nan_in_the_logs_not_zero(rng):
    images, masks, labels = data(rng)
    model = network()
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.0), keras.losses.BinaryCrossentropy(from_logits=True))
    spy = Spy()
    callback = fgf_keras.AlignmentCallback((images, masks), features=FEATURES)
    model.fit(images, labels, callbacks=[callback, spy], verbose=0)
    assert np.isnan(spy.seen[0]["val_S_joint"])
    assert np.isnan(spy.seen[0]["val_F_joint"])


def test_bad_arguments_are_refused(rng):
    images, masks, labels = data(rng)
    with pytest.raises(DataError, match="Empty: 0, 1"):
        fgf_keras.AlignmentCallback((images, 0 * masks))
    with pytest.raises(ModelError, match="flow_every >= 1"):
        fgf_keras.AlignmentCallback((images, masks), flow_every=0)
    with pytest.raises(FeatureError, match="At least one feature"):
        compiled(network()).fit(
            images, labels, callbacks=[fgf_keras.AlignmentCallback((images, masks))], verbose=0
        )


def test_the_warmup_raises_the_weight_step_by_step_and_leaves_it_full(rng):
    images, masks, labels = data(rng)
    model = compiled(fgf_keras.AlignmentModel(network(), FEATURES))
    scales = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: scales.append(float(model.reward_scale))
    )
    x = {"image": images, "mask": masks}
    model.fit(x, labels, batch_size=4, epochs=3, callbacks=[RewardWarmup(4), watch], verbose=0)
    assert scales == [0, 0.25, 0.5, 0.75, 1, 1]
    model.fit(x, labels, batch_size=4, callbacks=[RewardWarmup(8), watch], verbose=0)
    assert scales[-2:] == [0.75, 0.875], "goes on from the optimizer's count"
    assert float(model.reward_scale) == 1
    with pytest.raises(ModelError, match="steps >= 1"):
        RewardWarmup(0)


def test_without_reward_scale_the_step_is_that_of_the_plain_task(rng):
    images, masks, labels = data(rng)
    rewarded = compiled(fgf_keras.AlignmentModel(network(), FEATURES, reward_weight=5.0))
    rewarded.reward_scale.assign(0.0)
    plain = compiled(fgf_keras.AlignmentModel(network(), FEATURES, reward="none"))
    for model in (rewarded, plain):
        model.train_on_batch({"image": images, "mask": masks}, labels)
    for a, b in zip(rewarded.trainable_variables, plain.trainable_variables):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6, atol=1e-8)


def test_the_best_epoch_is_one_after_the_warmup(tmp_path):
    file = tmp_path / "best.weights.h5"
    model = compiled(network())
    checkpoint = BestCheckpoint(file, monitor="val_auc", mode="max", start_from_epoch=2)
    checkpoint.set_model(model)
    for epoch, auc in enumerate([0.9, 0.95, 0.6, 0.7, 0.5]):
        model.layers[-1].bias.assign([float(epoch)])
        checkpoint.on_epoch_end(epoch, {"val_auc": auc})
    model.load_weights(file)
    assert float(model.layers[-1].bias[0]) == 3


def test_a_short_trial_of_a_config_with_a_long_warmup_still_has_epochs_to_choose_from(tmp_path):
    config = parse_config(
        {
            "data": {"size": 32, "phantom": {"patients": 40, "prevalence": 0.4}},
            "model": {"filters": [2], "kernel_sizes": [3], "dense": [4]},
            "features": ["brightness"],
            "reward": {"warmup_epochs": 50},
            "train": {"epochs": 2},
        }
    )
    cohort = load_cohort(config)
    splits = stratified_splits(cohort, config.data.splits, seed=0)
    folder = RunFolder.create(tmp_path / "run", config)
    fit(config, cohort, splits, folder)
    assert folder.best_weights.is_file()
