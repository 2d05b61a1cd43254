"""Bias and activation are Keras's, to the third derivative."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.models.window.activation import activated

ACTIVATIONS = ["elu", "gelu", "tanh", "relu", None]


def derivatives(function, outputs, bias):
    """The value, and derivatives of order one to three in the outputs and the bias."""
    values = []
    with tf.GradientTape() as third, tf.GradientTape() as second, tf.GradientTape() as first:
        for tape in (third, second, first):
            tape.watch([outputs, bias])
        values.append(function(outputs, bias))
        total = tf.reduce_sum(values[0] ** 3)
        for tape in (first, second, third):
            values += tape.gradient(total, [outputs, bias])
            total = sum(tf.reduce_sum(value**3) for value in values[-2:])
    return values


def keras_activated(name):
    return lambda outputs, bias: keras.activations.get(name)(outputs + bias)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_numbers_are_those_of_keras_to_the_third_derivative(name, rng):
    outputs, bias = tf.constant(rng.normal(size=(2, 6, 5, 3))), tf.constant(rng.normal(size=3))
    ours = derivatives(lambda o, b: activated(o, b, keras.activations.get(name)), outputs, bias)
    for a, b in zip(ours, derivatives(keras_activated(name), outputs, bias)):
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_at_zero_the_derivatives_of_elu_are_those_of_keras():
    # Without a bias the whole background of a masked image is there.
    outputs, bias = tf.zeros([1, 2, 2, 3], tf.float64), tf.zeros([3], tf.float64)

    def second(function):
        with tf.GradientTape() as outer:
            outer.watch(outputs)
            with tf.GradientTape() as inner:
                inner.watch(outputs)
                value = tf.reduce_sum(2 * function(outputs, bias))
            gradient = inner.gradient(value, outputs)
        return outer.gradient(gradient, outputs)

    ours = second(lambda o, b: activated(o, b, keras.activations.elu))
    np.testing.assert_array_equal(ours, second(keras_activated("elu")))


def test_no_bias_is_a_bias_of_zero(rng):
    outputs = tf.constant(rng.normal(size=(2, 6, 5, 3)))
    without = activated(outputs, None, keras.activations.elu)
    np.testing.assert_array_equal(without, activated(outputs, tf.zeros(3, tf.float64), keras.activations.elu))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_gradient_of_a_bias_is_summed_in_more_than_half_precision(dtype):
    outputs, bias = tf.zeros([2, 64, 64, 1], dtype), tf.zeros([1], dtype)
    with tf.GradientTape() as tape:
        tape.watch(bias)
        total = tf.reduce_sum(tf.cast(activated(outputs, bias, keras.activations.elu), "float32"))
    np.testing.assert_array_equal(tf.cast(tape.gradient(total, bias), "float32"), [2 * 64 * 64])


@pytest.mark.parametrize("jit", [False, True])
def test_graphs_of_any_size_agree(jit, rng):
    outputs, bias = (tf.constant(rng.normal(size=size), tf.float32) for size in ((2, 6, 5, 3), (3,)))

    def all_derivatives(outputs, bias):
        return derivatives(lambda o, b: activated(o, b, keras.activations.elu), outputs, bias)

    signature = [tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([3])]
    graph = tf.function(all_derivatives, input_signature=signature, jit_compile=jit)
    for a, b in zip(graph(outputs, bias), all_derivatives(outputs, bias)):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * np.abs(b).max())
