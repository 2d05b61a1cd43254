"""Callbacks: what they write into logs and onto disk."""

import csv
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorflow.python.framework import ops

import fgf_keras
from fgf_keras.config import parse_config
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import stratified_splits
from fgf_keras.errors import DataError, FeatureError, ModelError
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.run.folder import RunFolder
from fgf_keras.training.best_checkpoint import BestCheckpoint
from fgf_keras.training.fit import fit
from fgf_keras.training.reward_schedule import RewardSchedule
from fgf_keras.training.tensorboard.alignment import AlignmentSummaries
from fgf_keras.training.tensorboard.writers import SummaryWriters

SHAPE = (16, 16, 1)
BANDS = ("", "_null_05", "_null_95")


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
    for name in ("brightness", "extent"):
        assert spy.seen[-1][f"val_effect_{name}"] == pytest.approx(frame[f"effect_{name}"].mean(), rel=1e-4)
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


def tags(folder):
    """Steps by tag of a run below a folder, and its tags by the plugin that shows them."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {tag: [event.step for event in events.Tensors(tag)] for tag in events.Tags()["tensors"]}


def test_with_a_log_dir_alignment_is_in_tensorboard(rng, tmp_path):
    images, masks, labels = data(rng)
    model = compiled(fgf_keras.AlignmentModel(network(), FEATURES))
    callback = fgf_keras.AlignmentCallback((images, masks), flow_every=2, log_dir=tmp_path)
    model.fit({"image": images, "mask": masks}, labels, epochs=4, callbacks=[callback], verbose=0)
    names = ("brightness", "extent", "joint")
    train, validation = tags(tmp_path / "train"), tags(tmp_path / "validation")
    assert train == {f"alignment/S_{name}": [0, 1, 2, 3] for name in names}
    for kind in "SF":
        for name in names:
            assert validation.pop(f"alignment/{kind}_{name}") == [0, 1, 2, 3]
            for tag in (f"per_patient/{kind}_{name}", *(f"watched/{kind}_{name}{s}" for s in BANDS)):
                assert validation.pop(tag) == [0, 2, 3]
    pictures = {f"patients/{k + 1} {k}": [0, 3] for k in range(4)}
    effects = {f"effects/{name}": [0, 1, 2, 3] for name in ("brightness", "extent")}
    assert validation == {"custom_scalars__config__": [0], **pictures, **effects}


def test_graphs_are_traced_once_however_many_epochs_there_are(rng, tmp_path, monkeypatch):
    traced = []
    once = AlignmentMeasure._traced
    monkeypatch.setattr(
        AlignmentMeasure, "_traced", lambda self, f: traced.append(f.__name__) or once(self, f)
    )
    images, masks, labels = data(rng)
    writers = SummaryWriters(tmp_path)
    summaries = AlignmentSummaries(writers, pictures_every=1)
    callback = fgf_keras.AlignmentCallback(
        (images, masks),
        training=(images[:5], masks[:5]),
        features=FEATURES,
        flow_every=1,
        summaries=summaries,
    )
    registered = []
    count = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: registered.append(len(ops.gradient_registry._registry))
    )
    compiled(network()).fit(images, labels, epochs=3, callbacks=[callback, count], verbose=0)
    assert sorted(traced) == ["_along_flow", "_at_sample", "_drawn"]
    assert len(set(registered)) == 1


def test_f_of_training_samples_has_the_key_of_training(rng):
    images, masks, labels = data(rng)
    model = compiled(fgf_keras.AlignmentModel(network(), FEATURES, reward="none"))
    spy = Spy()
    callback = fgf_keras.AlignmentCallback(
        (images[:3], masks[:3]), training=(images[3:], masks[3:]), flow_samples=4
    )
    model.fit({"image": images, "mask": masks}, labels, callbacks=[callback, spy], verbose=0)
    frame = fgf_keras.explain(model, images, masks).to_frame()
    assert spy.seen[0]["F_joint"] == pytest.approx(frame["F_joint"][3:7].mean(), rel=1e-4)
    assert spy.seen[0]["val_F_joint"] == pytest.approx(frame["F_joint"][:3].mean(), rel=1e-4)


def test_between_measurements_s_is_that_of_the_models_own_validation(rng):
    images, masks, labels = data(rng)
    inputs = {"image": images, "mask": masks}
    model = compiled(fgf_keras.AlignmentModel(network(), FEATURES, reward="none"))
    own, spy = Spy(), Spy()
    callback = fgf_keras.AlignmentCallback((images[:4], masks[:4]), pointwise_every=3, flow_every=3)
    model.fit(
        inputs, labels, validation_data=(inputs, labels), epochs=5, callbacks=[own, callback, spy], verbose=0
    )
    same = [a["val_S_joint"] == b["val_S_joint"] for a, b in zip(own.seen, spy.seen)]
    assert same == [False, True, True, False, False]
    plain, spy = compiled(network()), Spy()
    callback = fgf_keras.AlignmentCallback(
        (images, masks), features=FEATURES, pointwise_every=2, flow_every=9
    )
    plain.fit(images, labels, epochs=3, callbacks=[callback, spy], verbose=0)
    found = [logs["val_S_joint"] for logs in spy.seen]
    assert found[0] == found[1] != found[2]


def test_keras_callbacks_go_by_alignment(rng, tmp_path):
    images, masks, labels = data(rng)
    model = network()
    # Nothing changes, so nothing gets better.
    model.compile(keras.optimizers.SGD(0.0), keras.losses.BinaryCrossentropy(from_logits=True))
    spy, table, best = Spy(), tmp_path / "log.csv", tmp_path / "best.weights.h5"
    model.fit(
        images,
        labels,
        epochs=9,
        verbose=0,
        callbacks=[
            fgf_keras.AlignmentCallback((images, masks), features=FEATURES),
            spy,
            keras.callbacks.EarlyStopping("val_F_joint", mode="max", patience=2),
            keras.callbacks.ModelCheckpoint(
                best, monitor="val_S_joint", mode="max", save_best_only=True, save_weights_only=True
            ),
            keras.callbacks.CSVLogger(table),
        ],
    )
    assert len(spy.seen) == 3
    assert best.is_file()
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_S_joint"]) for row in rows] == [logs["val_S_joint"] for logs in spy.seen]


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


def test_a_network_that_diverged_is_watched_to_its_end(rng, tmp_path):
    images, masks, labels = data(rng)
    model = network()
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.0), keras.losses.BinaryCrossentropy(from_logits=True))
    spy = Spy()
    callback = fgf_keras.AlignmentCallback((images, masks), features=FEATURES, log_dir=tmp_path)
    model.fit(images, labels, callbacks=[callback, spy], verbose=0)
    assert np.isnan([spy.seen[0]["val_S_joint"], spy.seen[0]["val_F_joint"]]).all()
    events = EventAccumulator(str(tmp_path / "validation")).Reload()
    (band,) = events.Tensors("watched/S_joint_null_95")
    assert np.isnan(tf.make_ndarray(band.tensor_proto))
    assert "patients/1 0" in events.Tags()["tensors"]
    assert "per_patient/S_joint" not in events.Tags()["tensors"]


def test_bad_arguments_are_refused(rng):
    images, masks, labels = data(rng)
    with pytest.raises(DataError, match="Empty: 0, 1"):
        fgf_keras.AlignmentCallback((images, 0 * masks))
    with pytest.raises(ModelError, match="flow_every >= 1"):
        fgf_keras.AlignmentCallback((images, masks), flow_every=0)
    with pytest.raises(ModelError, match="log_dir or summaries"):
        fgf_keras.AlignmentCallback(
            (images, masks), log_dir="logs", summaries=AlignmentSummaries(SummaryWriters("logs"))
        )
    with pytest.raises(ModelError, match="null_draws >= 20"):
        AlignmentSummaries(SummaryWriters("logs"), null_draws=19)
    with pytest.raises(ModelError, match="pictures_every >= 0"):
        AlignmentSummaries(SummaryWriters("logs"), pictures_every=-1)
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
    model.fit(x, labels, batch_size=4, epochs=3, callbacks=[RewardSchedule(4), watch], verbose=0)
    assert scales == [0, 0.25, 0.5, 0.75, 1, 1]
    model.fit(x, labels, batch_size=4, callbacks=[RewardSchedule(8), watch], verbose=0)
    assert scales[-2:] == [0.75, 0.875], "goes on from the optimizer's count"
    assert float(model.reward_scale) == 1


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


SMALL = {
    "data": {"size": 32, "phantom": {"patients": 40, "prevalence": 0.4}},
    "model": {"filters": [2], "kernel_sizes": [3], "dense": [4]},
    "features": ["brightness"],
    "train": {"epochs": 2, "flow_patients": 4},
}


def fitted(tmp_path, changes, **options):
    """The run folder of a training."""
    config = parse_config(SMALL | changes)
    cohort = source_of(config).cohort()
    splits = stratified_splits(cohort, config.data.splits, seed=0)
    folder = RunFolder.create(tmp_path / "run", config)
    fit(config, cohort, splits, folder, **options)
    return folder


def test_a_training_alone_shows_all_there_is_in_one_file_a_run(tmp_path):
    folder = fitted(tmp_path, {})
    assert {run.name: len(list(run.iterdir())) for run in folder.logs.iterdir()} == {
        "train": 1,
        "validation": 1,
    }
    train, validation = (tags(folder.logs / name) for name in ("train", "validation"))
    assert {"run/config", "keras", "alignment/F_joint", "alignment/S_joint", "loss/task"} <= set(train)
    assert {
        "alignment/F_joint",
        "watched/S_joint_null_95",
        "precision_and_recall/pr_curves",
        "metrics/auc",
    } <= set(validation)
    assert sum(tag.startswith("patients/") for tag in validation) == 4


def test_one_training_among_many_shows_neither_patients_nor_settings(tmp_path):
    folder = fitted(tmp_path, {}, alone=False)
    train, validation = (tags(folder.logs / name) for name in ("train", "validation"))
    assert not [tag for tag in (*train, *validation) if tag.startswith(("patients/", "run/", "keras"))]
    assert {"custom_scalars__config__", "watched/F_joint_null_05", "per_patient/S_joint"} <= set(validation)


def test_without_measurements_there_is_a_layout_of_what_is_there(tmp_path):
    folder = fitted(tmp_path, {"train": {"epochs": 2, "measure": False}})
    validation = tags(folder.logs / "validation")
    events = EventAccumulator(str(folder.logs / "validation")).Reload()
    (content,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(content.tensor_proto.string_val[0])
    wanted = [tag for category in layout.category for chart in category.chart for tag in chart.multiline.tag]
    drawn = {tag for tag in validation if any(re.match(expression, tag) for expression in wanted)}
    assert drawn == {"alignment/S_brightness", "alignment/S_joint", "metrics/auc"}


def test_a_short_trial_of_a_config_with_a_long_warmup_still_has_epochs_to_choose_from(tmp_path):
    assert fitted(tmp_path, {"reward": {"warmup_epochs": 50}}).best_weights.is_file()
