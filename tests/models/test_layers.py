"""Our convolution and pooling are Keras's, to the second derivative."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import fgf_keras
from fgf_keras.models import AveragePooling, Convolution

PAIRS = {
    f"convolution {kernel}, {channels} channels, {options}": (
        Convolution,
        keras.layers.Conv2D,
        {"filters": 3, "kernel_size": kernel, "padding": "same", "dtype": "float64", **options},
        channels,
    )
    for kernel, channels, options in [
        (5, 1, {}),
        (3, 2, {}),
        ((3, 5), 1, {}),
        (1, 1, {}),
        (4, 1, {}),
        (3, 7, {}),
        (3, 1, {"strides": 2}),
        (3, 1, {"dilation_rate": 2}),
        (3, 1, {"padding": "valid"}),
        (3, 1, {"use_bias": False}),
        (5, 1, {"activation": "elu"}),
        (3, 7, {"activation": "elu"}),
        (3, 1, {"activation": "elu", "use_bias": False}),
        (3, 1, {"activation": "gelu", "padding": "valid"}),
    ]
} | {
    f"pooling {size}, {options}": (
        AveragePooling,
        keras.layers.AveragePooling2D,
        {"pool_size": size, "dtype": "float64", **options},
        2,
    )
    for size, options in [(4, {}), ((2, 3), {}), (3, {"strides": 2}), (4, {"padding": "same"})]
}


def derivatives(layer, image, mix):
    """Output, its input gradient, and what a function of both gives for image and weights."""
    with tf.GradientTape() as outer:
        outer.watch(image)
        with tf.GradientTape() as inner:
            inner.watch(image)
            output = layer(image)
            z = tf.reduce_sum(tf.sin(output) * mix)
        gradient = inner.gradient(z, image)
        second = tf.reduce_sum(gradient**3) + z
    return [output, gradient, *outer.gradient(second, [image, *layer.trainable_weights])]


@pytest.mark.parametrize("size", [(12, 8), (13, 11), (5, 5)], ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_numbers_are_those_of_keras_to_the_second_derivative(name, size, rng):
    ours, theirs, options, channels = PAIRS[name]
    image = tf.constant(rng.normal(size=(2, *size, channels)))
    ours, theirs = ours(**options), theirs(**options)
    mix = tf.constant(rng.normal(size=theirs(image).shape))
    ours.build(image.shape)
    weights = [rng.normal(size=w.shape) for w in theirs.get_weights()]
    for layer in (ours, theirs):
        layer.set_weights(weights)
    for a, b in zip(derivatives(ours, image, mix), derivatives(theirs, image, mix)):
        np.testing.assert_allclose(a, 0 if b is None else b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("jit", [False, True])
def test_graphs_of_any_batch_and_size_agree(jit, rng):
    layer = Convolution(3, 5, padding="same", activation="elu")
    layer.build((None, None, None, 1))

    @tf.function(input_signature=[tf.TensorSpec([None, 14, 10, 1])], jit_compile=jit)
    def gradient(image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            z = tf.reduce_sum(layer(image) ** 2)
        return tape.gradient(z, image)

    image = tf.constant(rng.normal(size=(3, 14, 10, 1)), tf.float32)
    assert gradient(image).shape == image.shape
    np.testing.assert_allclose(gradient(image)[1:2], gradient(image[1:2]), rtol=1e-4, atol=1e-5)


def test_channels_may_come_first(rng):
    image = rng.normal(size=(2, 3, 8, 6)).astype(np.float32)
    ours, theirs = (
        layer(4, 3, data_format="channels_first", activation="elu")
        for layer in (Convolution, keras.layers.Conv2D)
    )
    ours.build(image.shape), theirs.build(image.shape)
    ours.set_weights(theirs.get_weights())
    try:
        expected = theirs(image)
    except tf.errors.UnimplementedError as error:
        pytest.skip(f"TensorFlow has no such convolution on this processor: {str(error).splitlines()[0]}")
    np.testing.assert_array_equal(ours(image), expected)


def test_the_network_survives_saving_and_takes_the_weights_of_keras(tmp_path, rng):
    network = fgf_keras.paper_cnn((64, 64, 1), filters=(2, 3), kernel_sizes=(5, 3), dense=(4,))
    network.save(tmp_path / "network.keras")
    copy = keras.models.load_model(tmp_path / "network.keras")
    image = rng.normal(size=(2, 64, 64, 1)).astype(np.float32)
    np.testing.assert_array_equal(copy(image), network(image))
    plain = keras.Sequential(
        [
            keras.Input((64, 64, 1)),
            keras.layers.Conv2D(2, 5, padding="same", activation="elu"),
            keras.layers.AveragePooling2D(4),
            keras.layers.Conv2D(3, 3, padding="same", activation="elu"),
            keras.layers.AveragePooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="elu"),
            keras.layers.Dense(1),
        ]
    )
    plain.set_weights(network.get_weights())
    np.testing.assert_allclose(plain(image), network(image), rtol=1e-5, atol=1e-6)
