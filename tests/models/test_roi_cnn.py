"""The network in a window around the tumour is the network on the whole canvas, to the second derivative."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import fgf_keras
from fgf_keras.errors import ModelError
from fgf_keras.geometry.windows import bounding_box, crop, paste
from fgf_keras.models.window.roi_cnn import RoiCnn

# Of the largest entry, in float64.
CLOSE = 1e-12

CHOICES = {
    "the paper's kernels and pools": {},
    "even and large kernels, odd pools": {"kernels": (4, 7, 2), "pool": 3},
    "no pooling": {"kernels": (3, 5), "filters": (2, 3), "pool": 1},
    "max pooling": {"pooling": keras.layers.MaxPooling2D, "pool": 2},
    "our own layers": {
        "convolution": fgf_keras.models.Convolution,
        "pooling": fgf_keras.models.AveragePooling,
    },
    "oblong kernels and pools": {"kernels": ((5, 3), (1, 4), 3), "pool": (2, 4)},
    "two channels, four classes, no bias": {"channels": 2, "outputs": 4, "use_bias": False},
    "one stage": {"kernels": (5,), "filters": (3,)},
}


def network(
    canvas,
    rng,
    *,
    convolution=keras.layers.Conv2D,
    pooling=keras.layers.AveragePooling2D,
    kernels=(5, 3, 3),
    filters=(3, 4, 5),
    pool=4,
    channels=1,
    outputs=1,
    dropout=0.0,
    use_bias=True,
    dtype="float64",
):
    """A network with random weights and biases, as a chain of Keras layers."""
    layers = [keras.Input((*canvas, channels), dtype=dtype)]
    for count, kernel in zip(filters, kernels):
        layers.append(
            convolution(count, kernel, padding="same", activation="elu", use_bias=use_bias, dtype=dtype)
        )
        if pool != 1:
            layers.append(pooling(pool, dtype=dtype))
    layers += [keras.layers.Flatten(dtype=dtype), keras.layers.Dense(6, "elu", dtype=dtype)]
    if dropout:
        layers.append(keras.layers.Dropout(dropout, seed=3, dtype=dtype))
    built = keras.Sequential([*layers, keras.layers.Dense(outputs, dtype=dtype)])
    built.set_weights(
        [rng.normal(size=w.shape) / np.sqrt(max(1, np.prod(w.shape[:-1]))) for w in built.get_weights()]
    )
    return built


def boxes(canvas, rng):
    """Masks (B, H, W, 1): corners, borders, one pixel, the whole canvas, random boxes, two parts, none."""
    height, width = canvas
    spans = [
        (0, 0, 5, 7),
        (0, width - 3, 4, 3),
        (height - 6, 0, 6, 2),
        (height - 5, width - 9, 5, 9),
        (0, width // 2, 3, 8),
        (height // 2, 0, 8, 1),
        (height - 1, width - 1, 1, 1),
        (height // 2, width // 3, 1, 1),
        (0, 0, height, width),
    ]
    for _ in range(5):
        row, column = rng.integers(0, height), rng.integers(0, width)
        spans.append((row, column, rng.integers(1, height - row + 1), rng.integers(1, width - column + 1)))
    masks = np.zeros((len(spans) + 2, *canvas, 1))
    for mask, (row, column, rows, columns) in zip(masks, spans):
        mask[row : row + rows, column : column + columns] = 1
    masks[-2, 3:6, 4:9] = masks[-2, 20:23, 30:33] = 1
    return masks


def derivatives(evaluate, variables, image, mask, other, label):
    """Logits, input gradient in the mask, and the weights' gradients of a task loss and of a reward."""
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            inner.watch(image)
            logits = evaluate(image)
            score = tf.reduce_sum(logits * tf.range(1.0, logits.shape[1] + 1, dtype=logits.dtype))
        gradient = inner.gradient(score, image) * mask
        task = tf.reduce_mean(tf.math.softplus(logits) - label * logits)
        sums = [tf.reduce_sum(a * b, [1, 2, 3]) for a, b in ((gradient, other), (gradient, gradient))]
        reward = tf.reduce_sum(sums[0] ** 2 / (sums[1] + 1e-3))
    # The last bias has no part in the input gradient.
    of_reward = outer.gradient(reward, variables, unconnected_gradients="zero")
    return logits, gradient, outer.gradient(task, variables), of_reward


def assert_close(found, expected):
    tf.nest.assert_same_structure(found, expected)
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(expected)):
        np.testing.assert_allclose(a, b, rtol=0, atol=CLOSE * max(1e-6, np.abs(b).max()))


def compare(built, masks, rng, *, known=None, margin=0):
    """The network on the canvas and in windows that hold the masks, `margin` px larger than they must be.

    In a graph that knows the size of the windows, in one that does not, or by default in none.
    """
    roi = RoiCnn(built)
    canvas = masks.shape[1:3]
    mask = tf.constant(masks)
    image = tf.constant(rng.normal(size=(*masks.shape[:3], built.input_shape[-1]))) * mask
    other = tf.constant(rng.normal(size=image.shape)) * mask
    label = tf.constant(rng.integers(0, 2, size=(len(masks), 1)) * 1.0)
    variables = [variable.value for variable in built.trainable_variables]
    expected = derivatives(built, variables, image, mask, other, label)

    def in_window(image, mask, other, origin):
        return derivatives(roi.at(origin), variables, image, mask, other, label)

    first, counts = bounding_box(mask)
    edges = [min(int(tf.reduce_max(counts[:, i])) + margin, canvas[i]) for i in (0, 1)]
    origin = tf.maximum(0, tf.minimum(first - margin // 2, tf.constant(canvas) - edges))
    cut = [crop(field, origin, edges) for field in (image, mask, other)]
    if known is not None:
        shape = edges if known else [None, None]
        signature = [tf.TensorSpec([None, *shape, field.shape[-1]], field.dtype) for field in cut]
        in_window = tf.function(in_window, input_signature=[*signature, tf.TensorSpec([None, 2], tf.int32)])
    logits, gradient, task, reward = in_window(*cut, origin)
    assert_close((logits, paste(gradient, origin, canvas), task, reward), expected)


@pytest.mark.parametrize(
    ("choice", "canvas"),
    [(choice, (70, 93)) for choice in CHOICES]
    + [(next(iter(CHOICES)), size) for size in ((64, 64), (131, 150))],
)
def test_values_and_derivatives_are_those_of_the_canvas(choice, canvas, rng):
    built = network(canvas, rng, **CHOICES[choice])
    masks = boxes(canvas, rng)
    small = masks.sum(axis=(1, 2, 3)) <= 200
    compare(built, masks[small], rng)
    compare(built, masks[~small], rng)


@pytest.mark.parametrize("margin", [1, 30])
@pytest.mark.parametrize("known", [False, True], ids=["any size", "one size"])
def test_a_window_may_be_larger_than_the_tumour(known, margin, rng):
    canvas = (70, 93)
    masks = boxes(canvas, rng)
    compare(network(canvas, rng), masks[masks.sum(axis=(1, 2, 3)) <= 70], rng, known=known, margin=margin)


def test_a_canvas_that_the_border_reaches_everywhere_has_no_inside(rng):
    compare(network((9, 8), rng, kernels=(7, 5), pool=2), boxes((34, 34), rng)[:, :9, :8], rng)


def test_a_functional_model_is_taken_and_follows_its_weights(rng):
    built = fgf_keras.paper_cnn((64, 64, 1), filters=(3, 4), kernel_sizes=(5, 3), dense=(6,), classes=3)
    roi = RoiCnn(built)
    image = np.zeros((2, 64, 64, 1), np.float32)
    image[:, 30:40, 50:64] = rng.normal(size=(2, 10, 14, 1))
    origin = tf.constant([[30, 50]] * 2)
    for _ in range(2):
        np.testing.assert_allclose(
            roi.logits(tf.constant(image[:, 30:40, 50:]), origin), built(image), rtol=1e-4, atol=1e-6
        )
        built.set_weights([rng.normal(size=w.shape) * 0.1 for w in built.get_weights()])


def test_dropout_drops_the_same_units(rng):
    dense, sparse = (network((64, 64), np.random.default_rng(1), dropout=0.5) for _ in range(2))
    image = np.zeros((3, 64, 64, 1))
    image[:, 5:20, 40:60] = rng.normal(size=(3, 15, 20, 1))
    image = tf.constant(image)
    origin = tf.constant([[5, 40]] * 3)
    window = crop(image, origin, (15, 20))
    found = RoiCnn(sparse).logits(window, origin, training=True)
    np.testing.assert_allclose(found, dense(image, training=True), rtol=1e-10)
    assert np.abs(found - dense(image)).max() > 1e-3


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_rounds_as_the_canvas_does(policy, rng):
    keras.config.set_dtype_policy(policy)
    try:
        built = fgf_keras.paper_cnn((64, 64, 1), filters=(3, 4), kernel_sizes=(5, 3), dense=(6,))
    finally:
        keras.config.set_dtype_policy("float32")
    roi = RoiCnn(built)
    assert roi.compute_dtype == policy.removeprefix("mixed_")
    window = tf.constant(rng.normal(size=(4, 12, 12, 1)), tf.float32)
    origin = tf.constant([[0, 0], [50, 52], [20, 30], [7, 52]])
    logits = roi.logits(window, origin)
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits, built(paste(window, origin, (64, 64))), rtol=0.05, atol=0.02)


def _chain_of(*layers):
    return keras.Sequential(
        [keras.Input((16, 16, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(1)]
    )


def _branching():
    image = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(2, 3, padding="same")(image)
    x = keras.layers.Add()([x, keras.layers.Conv2D(2, 3, padding="same")(x)])
    return keras.Model(image, keras.layers.Dense(1)(keras.layers.Flatten()(x)))


def _scaled():
    image = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(2, 3, padding="same")(image + 1.0)
    return keras.Model(image, keras.layers.Dense(1)(keras.layers.Flatten()(x)))


class _Own(keras.Model):
    def call(self, image):
        return image


_conv, _pool = keras.layers.Conv2D, keras.layers.AveragePooling2D
REFUSED = {
    "not a keras.Sequential": lambda: _Own(),
    "no convolution": lambda: _chain_of(),
    "no Flatten": lambda: keras.Sequential([keras.Input((16, 16, 1)), keras.layers.GlobalAveragePooling2D()]),
    "no chain": _branching,
    "no chain, each": _scaled,
    "BatchNormalization": lambda: _chain_of(_conv(2, 3, padding="same"), keras.layers.BatchNormalization()),
    "padding='valid'": lambda: _chain_of(_conv(2, 3)),
    r"strides=\(2, 2\)": lambda: _chain_of(_conv(2, 3, strides=2, padding="same")),
    r"dilation_rate=\(2, 2\)": lambda: _chain_of(_conv(2, 3, dilation_rate=2, padding="same")),
    "activation that is not": lambda: _chain_of(_conv(2, 3, padding="same", activation=lambda x: x - 1)),
    "activity_regularizer": lambda: _chain_of(_conv(2, 3, padding="same", activity_regularizer="l2")),
    r"strides=\(1, 1\)": lambda: _chain_of(_conv(2, 3, padding="same"), _pool(2, strides=1)),
    "padding='same'": lambda: _chain_of(_conv(2, 3, padding="same"), _pool(3, padding="same")),
    "pools what no convolution": lambda: _chain_of(_pool(2)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_paper_cnn_is_refused_with_the_reason(reason):
    with pytest.raises(ModelError, match=reason):
        RoiCnn(REFUSED[reason]())
