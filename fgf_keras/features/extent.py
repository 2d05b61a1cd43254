"""Size of the tumour, as the root-mean-square distance from its centre."""

import keras
import tensorflow as tf

from fgf_keras.features.base import Feature
from fgf_keras.features.moments import as_field, image_moments, weights


@keras.saving.register_keras_serializable(package="fgf_keras")
class Extent(Feature):
    """Root-mean-square radius of the tumour, g = √tr C, in mm.

    ∂g/∂x_j = m_j (|r_j - μ|² - tr C) / (2 s |g|); 0 for a tumour of one pixel. Where intensities below zero
    make tr C negative, as can happen on a path to the decision boundary, g = -√|tr C|: still a monotone
    function of tr C, so that its alignment is that of tr C and changes smoothly there. Source: Jin, Garneau,
    Fletcher (ISBI 2022); alignment is the same for any monotone function of it.
    """

    default_name = "extent"
    shift_invariant = True
    unit = "mm"

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`; 0 for one pixel, and where the intensities sum to zero."""
        trace = image_moments(weights(image, mask), spacing).trace
        spread = tf.abs(tf.where(trace == 0, tf.ones_like(trace), trace))
        return tf.sign(trace) * tf.sqrt(spread)

    def is_defined(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.is_defined`; False where negative intensities make a variance or the mass negative."""
        return image_moments(weights(image, mask), spacing).are_of_a_tumour

    def gradient(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.gradient`; closed form."""
        moments = image_moments(weights(image, mask), spacing)
        trace = moments.trace
        radius = tf.sqrt(tf.abs(trace))
        scale = tf.math.divide_no_nan(tf.ones_like(trace), 2 * moments.total * radius)
        scale, trace = scale[:, tf.newaxis, tf.newaxis], trace[:, tf.newaxis, tf.newaxis]
        # Rows and columns are computed separately first: their sum is the only pass over all pixels.
        return as_field(scale * (moments.dy**2 - trace) + scale * moments.dx**2, image, mask)
