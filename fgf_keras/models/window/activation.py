"""Bias and activation with derivatives that are cheap, the second one too."""

from collections.abc import Callable

import keras
import tensorflow as tf


def activated(
    outputs: tf.Tensor, bias: tf.Tensor | None, activation: Callable[[tf.Tensor], tf.Tensor] | None
) -> tf.Tensor:
    """activation(outputs + bias), with Keras's numbers to any derivative.

    Args:
        outputs: (B, H, W, C).
        bias: (C,), or None.
        activation: a function, or None. The ELU of Keras gets derivatives of its own.
    """
    outputs = outputs if bias is None else _add_bias(outputs, tf.convert_to_tensor(bias))
    if activation is keras.activations.elu:
        return _elu(outputs)
    return outputs if activation is None else activation(outputs)


@tf.custom_gradient
def _add_bias(outputs, bias):
    def gradient(upstream):
        if upstream.dtype == tf.bfloat16:
            # The sum below would be rounded to bfloat16 at every step.
            return upstream, tf.reduce_sum(upstream, axis=[0, 1, 2])
        # On CPU the library fuses this sum with the gradient of the kernel, and together they take longer
        # than apart, in the first layer three times: it does not fuse them where their shapes differ.
        rows = tf.reshape(upstream, [-1, upstream.shape[-1]])
        return upstream, tf.raw_ops.BiasAddGrad(out_backprop=rows)

    return tf.nn.bias_add(outputs, bias), gradient


@tf.custom_gradient
def _elu(inputs):
    outputs = tf.nn.elu(inputs)

    def gradient(upstream):
        return _elu_gradient(upstream, outputs)

    return outputs, gradient


@tf.custom_gradient
def _elu_gradient(upstream, outputs):
    """upstream·elu', with elu' = 1 where the output is positive and output + 1 elsewhere."""

    def gradient(cotangent):
        # The derivative of the second factor, 1 where the output is negative, as the library has it for a
        # ReLU: one pass over the map instead of a comparison and a selection.
        negative = tf.raw_ops.ReluGrad(gradients=cotangent * upstream, features=-outputs)
        return _elu_gradient(cotangent, outputs), negative

    return tf.raw_ops.EluGrad(gradients=upstream, outputs=outputs), gradient
