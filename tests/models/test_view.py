"""Training and measuring in a window are training and measuring on the canvas."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import fgf_keras
from fgf_keras.errors import ModelError
from fgf_keras.flow.settings import Flow
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.models import placement as module
from fgf_keras.models.placement import Placement

SHAPE = (150, 139, 1)
# Edges of tumours, one for each size of window that a compiled step knows on this canvas.
TUMOURS = (9, 40, 100, 139)


def position(image, mask):
    """A feature that knows where on the canvas it is."""
    columns = tf.range(tf.cast(tf.shape(image)[2], image.dtype))
    return tf.reduce_sum(tf.sin(image * columns[:, None]) * mask, [1, 2, 3])


def features():
    return [
        fgf_keras.Brightness(),
        fgf_keras.Extent(),
        fgf_keras.LinearNoise(name="fixed"),
        fgf_keras.AutodiffFeature(position),
    ]


def network(dtype="float64", classes=2, seed=0):
    keras.utils.set_random_seed(seed)
    layers = [keras.Input(SHAPE, dtype=dtype)]
    for count, kernel in ((3, 5), (4, 3)):
        layers.append(keras.layers.Conv2D(count, kernel, padding="same", activation="elu", dtype=dtype))
        layers.append(keras.layers.AveragePooling2D(4, dtype=dtype))
    layers += [keras.layers.Flatten(dtype=dtype), keras.layers.Dense(6, "elu", dtype=dtype)]
    layers.append(keras.layers.Dense(1 if classes == 2 else classes, dtype=dtype))
    keras.config.set_dtype_policy(dtype)  # by which measures know the network's precision
    try:
        built = keras.Sequential(layers)
    finally:
        keras.config.set_dtype_policy("float32")
    built.set_weights([w + 0.1 * np.random.default_rng(1).normal(size=w.shape) for w in built.get_weights()])
    return built


def batch(rng, size, dtype=np.float64, count=4):
    """Tumours of at most one size, the first two in corners."""
    mask = np.zeros((count, *SHAPE), dtype)
    for k in range(count):
        rows, columns = (min(size, edge) - (k % 3) * (size > 3) for edge in SHAPE[:2])
        row, column = (int(rng.integers(0, edge - n + 1)) for edge, n in zip(SHAPE, (rows, columns)))
        row, column = {0: (0, 0), 1: (SHAPE[0] - rows, SHAPE[1] - columns)}.get(k, (row, column))
        mask[k, row : row + rows, column : column + columns] = 1
    return rng.uniform(0.1, 1, mask.shape).astype(dtype), mask


def model(evaluation, *, dtype="float64", classes=2, jit=False, **arguments):
    built = fgf_keras.AlignmentModel(
        network(dtype, classes), features(), evaluation=evaluation, epsilon=1e-30, **arguments
    )
    kind = keras.losses.BinaryCrossentropy if classes == 2 else keras.losses.SparseCategoricalCrossentropy
    built.compile(keras.optimizers.SGD(0.1), kind(from_logits=True, dtype=dtype), jit_compile=jit)
    return built


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize(("reward", "classes"), [("none", 2), ("sum", 2), ("joint", 2), ("sum", 4)])
def test_a_training_step_is_that_on_the_canvas(reward, classes, size, rng):
    image, mask = batch(rng, size)
    inputs = {"image": tf.constant(image), "mask": tf.constant(mask)}
    weights, logs = [], []
    for evaluation in ("dense", "roi"):
        built = model(evaluation, reward=reward, reward_weight=1.0, classes=classes)
        for _ in range(2):
            logs.append(built.train_step((inputs, tf.constant(np.arange(4) % classes))))
        weights.append(built.classifier.get_weights())
    for a, b in zip(*weights):
        np.testing.assert_allclose(b, a, rtol=1e-7, atol=1e-9)
    for key in logs[0]:
        np.testing.assert_allclose(logs[3][key], logs[1][key], rtol=1e-5, err_msg=key)


def windows_of(image, mask, edge):
    """Square windows that hold the tumours, some of them reaching beyond the canvas."""
    origin = np.array([np.argwhere(m[..., 0]).min(axis=0) for m in mask]) - [[0, 0], [edge // 3, 1]] * 2
    padded = [np.pad(x, [(0, 0), (edge, edge), (edge, edge), (0, 0)]) for x in (image, mask)]
    cut = [
        np.stack([x[k, y + edge : y + 2 * edge, c + edge : c + 2 * edge] for k, (y, c) in enumerate(origin)])
        for x in padded
    ]
    return {"image": cut[0], "mask": cut[1], "origin": origin.astype(np.int32)}


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("evaluation", ["dense", "roi"])
def test_windows_with_their_origins_are_as_good_as_canvases(evaluation, size, rng):
    image, mask = batch(rng, size)
    label = tf.constant([0, 1, 1, 0])
    canvases = {"image": tf.constant(image), "mask": tf.constant(mask)}
    windows = tf.nest.map_structure(tf.constant, windows_of(image, mask, size + size // 2))
    weights, logs, tested, logits = [], [], [], []
    for inputs in (canvases, windows):
        built = model(evaluation, reward_weight=1.0)
        tested.append(built.test_step((inputs, label)))
        logs.append(built.train_step((inputs, label)))
        logits.append(built(inputs))
        weights.append(built.classifier.get_weights())
    for a, b in zip(*weights):
        np.testing.assert_allclose(b, a, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(logits[1], logits[0], rtol=1e-9)
    for key in logs[0]:
        np.testing.assert_allclose(logs[1][key], logs[0][key], rtol=1e-5, err_msg=key)
        np.testing.assert_allclose(tested[1][key], tested[0][key], rtol=1e-5, err_msg=key)


def test_a_compiled_step_takes_windows_too(compiled, rng):
    image, mask = batch(rng, 40, np.float32)
    found, expected = (
        compiled.test_on_batch(inputs, np.arange(4) % 2, return_dict=True)
        for inputs in (windows_of(image, mask, 60), {"image": image, "mask": mask})
    )
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, err_msg=key)


def test_windows_need_a_canvas_of_known_size(rng):
    anysize = keras.Sequential([keras.Input((None, None, 1)), keras.layers.GlobalAveragePooling2D()])
    built = fgf_keras.AlignmentModel(anysize, features())
    with pytest.raises(ModelError, match="must be known"):
        built(windows_of(*batch(rng, 9, np.float32), 9))


@pytest.mark.parametrize("size", TUMOURS)
def test_a_compiled_step_chooses_a_window_that_holds_the_tumours(size, compiled, rng):
    image, mask = batch(rng, size, np.float32)
    inputs, label = {"image": image, "mask": mask}, np.arange(4) % 2
    start = compiled.get_weights()
    reference = model("dense", dtype="float32", reward_weight=1.0)
    reference.set_weights(start)
    try:
        for built in (reference, compiled):
            built.train_on_batch(inputs, label)
        for a, b in zip(reference.get_weights(), compiled.get_weights()):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            compiled.predict(inputs, verbose=0), reference.predict(inputs, verbose=0), rtol=1e-4, atol=1e-5
        )
    finally:
        compiled.set_weights(start)


@pytest.fixture(scope="module")
def compiled():
    built = model("roi", dtype="float32", reward_weight=1.0, jit=True)
    assert [size for size in module.KNOWN_SIZES if size < max(SHAPE)] == [32, 64, 128]
    return built


@pytest.mark.parametrize("classes", [2, 4])
def test_measurements_are_those_on_the_canvas(classes, rng):
    image, mask = batch(rng, 23)
    inputs = [tf.constant(t) for t in (image, mask, np.full((4, 2), 0.7))]
    dense, roi = (
        AlignmentMeasure(
            network(classes=classes),
            features(),
            SHAPE,
            mask_input=True,
            evaluation=evaluation,
            noise_draws=2,
            flow=Flow(steps=2, max_steps=8),
        )
        for evaluation in ("dense", "roi")
    )
    for name in ("at_sample", "along_flow", "fields"):
        expected, found = getattr(dense, name)(*inputs), getattr(roi, name)(*inputs)
        assert set(found) == set(expected)
        for key, value in expected.items():
            # Drift and residual are parts of the score at the patient.
            scale = 1 if key in ("drift", "residual") else max(1e-9, np.abs(value).max())
            np.testing.assert_allclose(found[key], value, rtol=1e-7, atol=1e-9 * scale, err_msg=key)


def test_a_model_predicts_and_differentiates_its_images_as_on_the_canvas(rng):
    image, mask = batch(rng, 23)
    gradients = []
    for evaluation in ("dense", "roi"):
        built = model(evaluation)
        x = tf.constant(image)
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = built.call({"image": x, "mask": tf.constant(mask)})
        gradients.append((logits, tape.gradient(logits, x)))
    for a, b in zip(*gradients):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("jit", [False, True])
def test_an_empty_mask_is_no_window_and_no_error(jit, rng):
    image, mask = batch(rng, 9, np.float32)
    for empty in (mask * 0, mask * np.array([0, 1, 1, 1])[:, None, None, None]):
        inputs = {"image": image, "mask": empty.astype(np.float32)}
        logits = [
            model(evaluation, dtype="float32", jit=jit).predict(inputs, verbose=0)
            for evaluation in ("dense", "roi")
        ]
        np.testing.assert_allclose(logits[1], logits[0], rtol=1e-4, atol=1e-5)


def test_images_of_another_size_are_refused(rng):
    image, mask = batch(rng, 9)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="139"):
        model("roi").call((tf.constant(image[:, :, 1:]), tf.constant(mask[:, :, 1:])))


def test_auto_is_a_window_where_the_numbers_are_the_same_and_says_why_where_not(caplog):
    taken = network()
    other = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.GlobalAveragePooling2D()])
    module._log.cache_clear()
    with caplog.at_level(logging.INFO, "fgf_keras"):
        assert Placement(taken).reason is None
        for _ in range(2):
            assert "no Flatten" in Placement(other).reason
        assert "support='image'" in Placement(taken, support="image").reason
        assert "outside of the tumour" in Placement(taken, mask_input=False).reason
        assert Placement(taken, evaluation="dense").reason == "asked for"
    assert [record.message.count("whole canvas") for record in caplog.records] == [1, 1, 1]
    assert "no Flatten" in caplog.records[0].message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"support": "image"}, "support='image'"),
        ({"mask_input": False}, "sees pixels outside"),
        ({"evaluation": "sparse"}, "auto, dense, roi"),
    ],
)
def test_a_window_that_is_asked_for_and_cannot_be_is_an_error(arguments, message):
    with pytest.raises(ModelError, match=message):
        Placement(network(), **{"evaluation": "roi", **arguments})


def test_a_model_in_a_window_can_be_explained_on_the_canvas(rng):
    image, mask = batch(rng, 23, np.float32)
    frames = [
        fgf_keras.explain(
            model(evaluation, dtype="float32"),
            image[:2],
            mask[:2],
            support="image",
            flow=Flow(steps=2, max_steps=4),
        ).to_frame()
        for evaluation in ("dense", "roi")
    ]
    np.testing.assert_allclose(frames[1]["S_joint"], frames[0]["S_joint"], rtol=1e-5)


def test_how_a_model_is_evaluated_is_saved_where_it_is_a_choice(tmp_path):
    kept = {}
    for evaluation in ("auto", "dense", "roi"):
        built = fgf_keras.AlignmentModel(
            network("float32"), [fgf_keras.Brightness()], evaluation=evaluation, reward="none"
        )
        built.save(tmp_path / "model.keras")
        kept[evaluation] = "evaluation" in built.get_config()
        assert keras.models.load_model(tmp_path / "model.keras").evaluation == evaluation
    # What an earlier version can compute, it can load.
    assert kept == {"auto": False, "dense": True, "roi": True}
