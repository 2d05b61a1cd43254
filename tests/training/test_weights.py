"""Which weights are kept, against what a network trained step by step without callbacks has."""

import keras
import numpy as np
import pytest

from fgf_keras import AlignmentCallback, AlignmentModel, Brightness, explain
from fgf_keras.config import parse_config
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import stratified_splits
from fgf_keras.errors import ConfigError, ModelError
from fgf_keras.run.folder import RunFolder
from fgf_keras.training.fit import fit
from fgf_keras.training.weights.averaged import values_of
from fgf_keras.training.weights.exponential import ExponentialAverage
from fgf_keras.training.weights.last_epochs import LastEpochsAverage
from fgf_keras.training.weights.smoothed import SmoothedCheckpoint, smoothed

EPOCHS, STEPS = 6, 3


class Trace(keras.callbacks.Callback):
    """The network's own weights after every step, and what the model holds at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.steps, self.held, self.logs = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(values_of(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.held.append(values_of(self.model))
        self.logs.append(dict(logs))


def data(rng, count):
    return rng.normal(size=(count, 4)).astype(np.float32), np.arange(count) % 2


def network():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4,)), keras.layers.Dense(3, activation="elu"), keras.layers.Dropout(0.2)]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.05), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def trained(rng, *callbacks, epochs=EPOCHS):
    model, trace = network(), Trace()
    images, labels = data(rng, 4 * STEPS)
    validation = data(np.random.default_rng(9), 20)
    model.fit(
        images, labels, batch_size=4, epochs=epochs, shuffle=False, verbose=0, validation_data=validation,
        callbacks=[*callbacks, trace],
    )  # fmt: skip
    return model, trace, validation


def close(weights, expected):
    for weight, value in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("start", [0, 2])
def test_the_exponential_average_is_the_sum_over_all_steps(rng, start):
    model, trace, validation = trained(rng, ExponentialAverage(0.6, start_from_epoch=start))
    _, plain, _ = trained(np.random.default_rng(0))
    for own, expected in zip(trace.steps, plain.steps, strict=True):
        close(own, expected)
    average, count = None, 0
    for step, weights in enumerate(plain.steps):
        momentum = 0.0
        if step >= start * STEPS:
            momentum, count = min(0.6, (1 + count) / (10 + count)), count + 1
        previous = average or weights
        average = [momentum * a + (1 - momentum) * w for a, w in zip(previous, weights)]
        if step == 0 and start == 0:
            # The average starts from the weights before the first step.
            average = [0.1 * a + 0.9 * w for a, w in zip(values_of(network()), weights)]
        if step % STEPS == STEPS - 1:
            close(trace.held[step // STEPS], average)
    close(values_of(model), average)
    assert trace.logs[-1]["val_loss"] == pytest.approx(model.evaluate(*validation, verbose=0), rel=1e-5)
    assert trace.logs[-1]["val_loss"] != plain.logs[-1]["val_loss"]


@pytest.mark.parametrize(("length", "start"), [(3, 0), (3, 2), (20, 0), (1, 0)])
def test_the_mean_of_the_last_epochs(rng, length, start):
    model, trace, validation = trained(rng, LastEpochsAverage(length, start_from_epoch=start))
    ends = [trace.steps[STEPS * (k + 1) - 1] for k in range(EPOCHS)]
    for epoch, held in enumerate(trace.held):
        first = epoch if epoch < start else max(start, epoch + 1 - length)
        close(held, [np.mean(values, axis=0) for values in zip(*ends[first : epoch + 1])])
    close(values_of(model), trace.held[-1])
    assert trace.logs[-1]["val_loss"] == pytest.approx(model.evaluate(*validation, verbose=0), rel=1e-5)


def test_an_average_survives_early_stopping(rng):
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=10.0)
    model, trace, _ = trained(rng, LastEpochsAverage(3), stopping, epochs=30)
    assert len(trace.held) == 2
    close(values_of(model), [np.mean(v, axis=0) for v in zip(trace.steps[2], trace.steps[5])])


class Told(keras.callbacks.Callback):
    """Sets the metric that later callbacks see."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_auc"] = self.values[epoch]


# The single best epoch is the second; the best three in a row are the last ones.
AUCS = [0.5, 0.95, 0.4, 0.7, 0.75, 0.72]


@pytest.mark.parametrize(
    ("mode", "values", "start", "best"),
    [
        ("max", AUCS, 0, 4),
        ("min", [-v for v in AUCS], 0, 4),
        ("max", [0.9, 0.9, 0.9, 0.2, 0.3, 0.2], 0, 1),
        ("max", [0.9, 0.9, 0.9, 0.2, 0.3, 0.2], 2, 3),
        ("max", [np.nan, 0.9, 0.9, 0.2, 0.3, 0.2], 0, 2),
    ],
)
def test_the_middle_of_the_best_window_is_kept(rng, tmp_path, mode, values, start, best):
    file = tmp_path / "best.weights.h5"
    checkpoint = SmoothedCheckpoint(file, monitor="val_auc", mode=mode, epochs=3, start_from_epoch=start)
    model, trace, _ = trained(rng, Told(values), checkpoint)
    close(values_of(model), trace.steps[-1])
    model.load_weights(file)
    close(values_of(model), trace.steps[STEPS * (best + 1) - 1])
    means = [logs["smoothed_val_auc"] for logs in trace.logs]
    np.testing.assert_allclose(means[start + 2 :], smoothed(values[start:], 3)[1:-1])
    np.testing.assert_allclose(means[: start + 1], values[: start + 1])


def test_means_are_centred_and_whole():
    np.testing.assert_allclose(smoothed([1, 2, 6, 0], 3), [np.nan, 3, 8 / 3, np.nan])
    np.testing.assert_allclose(smoothed([1, 2], 1), [1, 2])
    assert np.isnan(smoothed([1, 2], 3)).all()


def test_refusals(tmp_path):
    with pytest.raises(ModelError, match=r"odd number of epochs\. Received: epochs=4"):
        SmoothedCheckpoint(tmp_path / "w.weights.h5", monitor="val_auc", mode="max", epochs=4)
    with pytest.raises(ModelError, match=r"momentum=1\.0"):
        ExponentialAverage(1.0)
    with pytest.raises(ModelError, match="epochs=0"):
        LastEpochsAverage(0)
    for settings, message in (
        ({"smoothing_epochs": 4}, "smoothing_epochs: must be odd"),
        ({"ema_momentum": 1.0}, "ema_momentum"),
        ({"average_epochs": 0}, "average_epochs"),
        ({"weights": "mean"}, "should be 'best', 'smoothed', 'ema' or 'swa'"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_config({"train": settings})


def test_statistics_of_batches_are_refused(rng):
    images, labels = data(rng, 8)
    kinds = {keras.layers.BatchNormalization: True, keras.layers.LayerNormalization: False}
    for normalisation, refused in kinds.items():
        layers = [keras.Input((4,)), keras.layers.Dense(3), normalisation(name="norm"), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
        fit_it = {"epochs": 1, "verbose": 0, "callbacks": [ExponentialAverage(0.9)]}
        if refused:
            with pytest.raises(ModelError, match="layer 'norm' keeps statistics of batches"):
                model.fit(images, labels, **fit_it)
            model.get_layer("norm").trainable = False
            model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
        model.fit(images, labels, **fit_it)


CONFIG = {
    "data": {"size": 24, "phantom": {"patients": 40, "prevalence": 0.4}},
    "model": {"filters": [2], "kernel_sizes": [3], "pool_size": 4, "dense": [2]},
    "features": ["brightness"],
    "reward": {"warmup_epochs": 2},
    "train": {"epochs": 5, "measure": False, "smoothing_epochs": 3, "average_epochs": 2, "ema_momentum": 0.5},
    "compute": {"threads": 1},
}


@pytest.mark.parametrize(
    ("weights", "precision"),
    [
        *((weights, "float32") for weights in ("best", "smoothed", "ema", "swa")),
        ("ema", "mixed_float16"),
        ("swa", "mixed_float16"),
        *(pytest.param(weights, "mixed_float16", marks=pytest.mark.slow) for weights in ("best", "smoothed")),
    ],
)
def test_a_run_keeps_and_saves_them(tmp_path, weights, precision):
    keras.config.set_dtype_policy(precision)
    try:
        config = parse_config(CONFIG | {"train": CONFIG["train"] | {"weights": weights}})
        cohort = source_of(config).cohort()
        splits = stratified_splits(cohort, config.data.splits, seed=0)
        trace = Trace()
        model = fit(
            config, cohort, splits, RunFolder(tmp_path / "run"), title=None, alone=False, callbacks=[trace]
        )
        loaded = keras.models.load_model(tmp_path / "run" / "model.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(loaded, AlignmentModel)
    close(values_of(loaded), values_of(model))
    aucs = [logs["val_auc"] for logs in trace.logs]
    if weights != "smoothed":
        close(values_of(model), trace.held[2 + int(np.argmax(aucs[2:]))])
    if weights == "smoothed":
        # After the warm-up there is one window of three epochs.
        close(values_of(model), trace.held[3])
        assert trace.logs[-1]["smoothed_val_auc"] == pytest.approx(np.mean(aucs[2:]))
    elif weights != "best":
        steps = len(trace.steps) // 5
        own = trace.steps[-1]
        # An average, not the last step.
        assert any(np.abs(a - b).max() > 1e-6 for a, b in zip(own, trace.held[-1]))
        if weights == "swa":
            close(trace.held[-1], [np.mean(v, axis=0) for v in zip(trace.steps[4 * steps - 1], own)])
        # Until the reward has its full weight, nothing is averaged.
        close(trace.held[1], trace.steps[2 * steps - 1])


def test_few_epochs_shorten_the_window_and_early_stopping_waits_for_it(tmp_path):
    train = CONFIG["train"] | {"weights": "smoothed", "smoothing_epochs": 9, "early_stopping_patience": 1}
    config = parse_config(CONFIG | {"train": train})
    cohort = source_of(config).cohort()
    splits = stratified_splits(cohort, config.data.splits, seed=0)
    trace = Trace()
    fit(config, cohort, splits, RunFolder(tmp_path / "run"), title=None, alone=False, callbacks=[trace])
    assert len(trace.logs) == 5
    aucs = [logs["val_auc"] for logs in trace.logs]
    assert trace.logs[4]["smoothed_val_auc"] == pytest.approx(np.mean(aucs[2:]))


def test_callbacks_that_measure_see_the_average(rng):
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
    model = AlignmentModel(keras.Sequential(layers), [Brightness()])
    model.compile(keras.optimizers.SGD(0.5), keras.losses.BinaryCrossentropy(from_logits=True))
    images, masks = rng.uniform(size=(8, 8, 8, 1)).astype(np.float32), np.ones((8, 8, 8, 1), np.float32)
    trace = Trace()
    inputs = {"image": images, "mask": masks}
    model.fit(
        inputs, np.arange(8) % 2, epochs=3, verbose=0, validation_data=(inputs, np.arange(8) % 2),
        callbacks=[LastEpochsAverage(3), AlignmentCallback((images, masks)), trace],
    )  # fmt: skip
    expected = explain(model, images, masks).to_frame()["S_brightness"].mean()
    assert trace.logs[-1]["val_S_brightness"] == pytest.approx(expected, rel=1e-4)
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(trace.steps[-1], trace.held[-1]))
