"""Bias and activation with cheap first and second derivatives."""

from collections.abc import Callable

import keras
import tensorflow as tf

# Gradients with respect to two arguments.
_Pair = tuple[tf.Tensor, tf.Tensor]


# As in the network of Mateus et al. (2023); that of Keras is 0.2.
NEGATIVE_SLOPE = 0.01


@keras.saving.register_keras_serializable(package="fgf_keras")
def leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """x where it is positive, 0.01·x elsewhere."""
    return keras.activations.leaky_relu(x, negative_slope=NEGATIVE_SLOPE)


def activation_of(name: str) -> Callable[[tf.Tensor], tf.Tensor] | str:
    """The activation of a name in the configuration, for a Keras layer."""
    return leaky_relu if name == "leaky_relu" else name


def activated(
    outputs: tf.Tensor, bias: tf.Tensor | None, activation: Callable[[tf.Tensor], tf.Tensor] | None
) -> tf.Tensor:
    """activation(outputs + bias); the values and all derivatives are those of Keras.

    Args:
        outputs: (B, H, W, C).
        bias: (C,), or None.
        activation: a function, or None. The ELU of Keras is given its own derivatives.
    """
    outputs = outputs if bias is None else _add_bias(outputs, tf.convert_to_tensor(bias))
    if activation is keras.activations.elu:
        return _elu(outputs)
    return outputs if activation is None else activation(outputs)


@tf.custom_gradient
def _add_bias(outputs: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable[..., _Pair]]:
    def gradient(upstream: tf.Tensor) -> _Pair:
        if upstream.dtype == tf.bfloat16:
            # The sum below would be rounded to bfloat16 at every step.
            return upstream, tf.reduce_sum(upstream, axis=[0, 1, 2])
        # On CPU the library fuses this sum with the gradient of the kernel, which takes longer than both
        # separately, three times as long in the first layer. It does not fuse them if their shapes differ.
        rows = tf.reshape(upstream, [-1, upstream.shape[-1]])
        return upstream, tf.raw_ops.BiasAddGrad(out_backprop=rows)

    return tf.nn.bias_add(outputs, bias), gradient


@tf.custom_gradient
def _elu(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    outputs = tf.nn.elu(inputs)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return _elu_gradient(upstream, outputs)

    return outputs, gradient


@tf.custom_gradient
def _elu_gradient(upstream: tf.Tensor, outputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., _Pair]]:
    """upstream·elu', with elu' = 1 where the output is positive and output + 1 elsewhere."""

    def gradient(cotangent: tf.Tensor) -> _Pair:
        # The derivative of the second factor is 1 where the output is negative, like that of a ReLU in the
        # library: one pass over the map instead of a comparison and a selection.
        negative = tf.raw_ops.ReluGrad(gradients=cotangent * upstream, features=-outputs)
        return _elu_gradient(cotangent, outputs), negative

    return tf.raw_ops.EluGrad(gradients=upstream, outputs=outputs), gradient
