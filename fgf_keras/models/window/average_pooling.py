"""Average pooling whose gradient is a broadcast."""

from collections.abc import Callable

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="fgf_keras")
class AveragePooling(keras.layers.AveragePooling2D):
    """`keras.layers.AveragePooling2D` with the same numbers, and a gradient written as a broadcast.

    Applies where pools do not overlap (strides equal to the pool, "valid" padding); all other cases are left
    to Keras.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """As in Keras."""
        disjoint = (
            self.padding == "valid"
            and self.data_format == "channels_last"
            and tuple(self.strides) == tuple(self.pool_size)
        )
        return _pool(tuple(self.pool_size))(inputs) if disjoint else super().call(inputs)


def _pool(size: tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
    rows, columns = size

    @tf.custom_gradient
    def pool(image: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        shape = tf.shape(image)
        return tf.nn.avg_pool2d(image, size, size, "VALID"), lambda upstream: spread(upstream, shape)

    def spread(upstream: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        """Each value spread over its pool, and zero on the part of the image that no pool covers."""

        # Linear, and the transpose of `pool`, so each is the derivative of the other. The library's
        # derivative of a broadcast, a sum over some of six axes, takes ten times as long.
        @tf.custom_gradient
        def spread(upstream: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            batch, down, across, channels = tf.unstack(tf.shape(upstream))
            share = (upstream / (rows * columns))[:, :, tf.newaxis, :, tf.newaxis]
            cells = tf.broadcast_to(share, tf.stack([batch, down, rows, across, columns, channels]))
            filled = tf.reshape(cells, tf.stack([batch, down * rows, across * columns, channels]))
            rest = [[0, 0], [0, shape[1] - down * rows], [0, shape[2] - across * columns], [0, 0]]
            return tf.pad(filled, rest), pool

        return spread(upstream)

    return pool
