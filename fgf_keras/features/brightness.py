"""Mean intensity inside the mask."""

import keras
import tensorflow as tf

from fgf_keras.features.base import Feature, axes_of_sample
from fgf_keras.features.moments import as_field, weights
from fgf_keras.geometry.products import per_sample


@keras.saving.register_keras_serializable(package="fgf_keras")
class Brightness(Feature):
    """Mean intensity of the tumour, g = Σw / Σm, in units of the image.

    ∂g/∂x_j = m_j / Σm. Source: Jin, Garneau, Fletcher (ISBI 2022).

    Example:
        >>> Brightness().value(image, mask)   # (B, H, W, 1), (B, H, W, 1) -> (B,); sequences and volumes too
    """

    default_name = "brightness"
    of_intensity = True
    shift_invariant = True
    ranks = (1, 2, 3)

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`; 0 for an empty mask."""
        del spacing
        mass = weights(image, mask)
        return tf.math.divide_no_nan(tf.reduce_sum(mass, axes_of_sample(mass)), _pixels(image, mask))

    def gradient(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.gradient`; closed form."""
        del spacing
        share = tf.math.divide_no_nan(tf.ones([], image.dtype), _pixels(image, mask))
        inside = tf.cast(mask[..., 0], image.dtype)
        return as_field(per_sample(share, inside) * inside, image, mask)


def _pixels(image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, image.dtype), axes_of_sample(mask))
