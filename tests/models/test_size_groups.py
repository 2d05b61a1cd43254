"""A batch computed in groups of windows of similar size gives the numbers of one common window."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.models.paper_cnn import paper_cnn
from fgf_keras.models.view import WindowView
from fgf_keras.models.window.roi_cnn import RoiCnn
from fgf_keras.models.window.size_groups import SizeGroups

SIZE = 48


def windows(rng, count):
    """Images in windows of a canvas, with tumours of very different sizes, the second of them empty."""
    masks = np.zeros((count, 40, 32, 1))
    for i in range(count):
        rows, columns = (3, 2) if i % 3 else (37, 30)
        top, left = rng.integers(0, 40 - rows + 1), rng.integers(0, 32 - columns + 1)
        masks[i, top : top + rows, left : left + columns] = i != 1
    origin = np.stack([rng.integers(0, SIZE - 40 + 1, count), rng.integers(0, SIZE - 32 + 1, count)], axis=1)
    return (
        tf.constant(rng.uniform(0.1, 1, masks.shape) * masks),
        tf.constant(masks),
        tf.constant(origin, tf.int32),
    )


def measured(network, fields, direction, *, grouped):
    """Logits, the gradient in the tumours, and the weight gradient of a function of it."""
    image, mask, origin = fields
    view = WindowView(RoiCnn(network), [SIZE, SIZE], origin, image, mask, grouped=grouped)
    with tf.GradientTape() as weight_tape:
        with tf.GradientTape() as tape:
            tape.watch(view.image)
            logits = view.logits()
        gradient = tape.gradient(logits, view.image) * mask
        product = tf.reduce_sum(gradient * direction, axis=(1, 2, 3))
        objective = tf.reduce_sum(product**2 / (1e-3 + tf.reduce_sum(gradient**2, axis=(1, 2, 3))))
    weights = weight_tape.gradient(objective, network.trainable_variables[:-1])
    return [logits, gradient, *weights]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_values_gradients_and_second_derivatives_are_those_of_one_window(rng, count):
    keras.config.set_dtype_policy("float64")
    try:
        network = paper_cnn((SIZE, SIZE, 1), filters=[3, 4], kernel_sizes=[5, 3], pool_size=4, dense=[5])
    finally:
        keras.config.set_dtype_policy("float32")
    network.set_weights([rng.normal(size=w.shape) * 0.3 for w in network.get_weights()])
    fields = windows(rng, count)
    direction = tf.constant(rng.normal(size=fields[0].shape))
    function = tf.function(measured)
    for whole, grouped in zip(
        measured(network, fields, direction, grouped=False),
        function(network, fields, direction, grouped=True),
        strict=True,
    ):
        np.testing.assert_allclose(grouped, whole, rtol=1e-9, atol=1e-12 * np.abs(whole).max())


def test_small_tumours_are_computed_in_small_windows(rng):
    image, mask, origin = windows(rng, 8)
    seen = []

    def function(window, place):
        seen.append((window.shape, place.numpy().tolist()))
        return tf.reduce_sum(window, axis=(1, 2, 3))

    sums = SizeGroups(mask).mapped(function, image, origin)
    np.testing.assert_allclose(sums, tf.reduce_sum(image, axis=(1, 2, 3)))
    assert [shape[:3] for shape, _ in seen] == [(4, 8, 8), (2, 40, 32), (2, 40, 32)]
    for _, places in seen:
        assert np.all(np.array(places) >= 0)
