"""Metrics of an `AlignmentModel`."""

import keras
import tensorflow as tf


class MeanOfDefined(keras.metrics.Mean):
    """A mean that is NaN instead of Keras's 0 as long as nothing has been counted."""

    def result(self) -> tf.Tensor:
        """The mean, NaN before the first sample."""
        return tf.where(tf.convert_to_tensor(self.count) > 0, super().result(), float("nan"))
