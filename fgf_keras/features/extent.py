"""Size of the tumour, as the root-mean-square distance from its centre."""

import keras
import tensorflow as tf

from fgf_keras.features.base import Feature
from fgf_keras.features.moments import as_field, image_moments, weights
from fgf_keras.features.moments_nd import moments_nd, principal_axes
from fgf_keras.geometry.products import per_sample


@keras.saving.register_keras_serializable(package="fgf_keras")
class Extent(Feature):
    """Root-mean-square radius of the tumour, g = √tr C, in mm; the standard deviation along a sequence.

    ∂g/∂x_j = m_j (|r_j - μ|² - tr C) / (2 s |g|); 0 for a tumour of one pixel. Where intensities below zero
    make tr C negative, as can happen on a path to the decision boundary, g = -√|tr C|: still a monotone
    function of tr C, so that its alignment is that of tr C and changes smoothly there. Source: Jin, Garneau,
    Fletcher (ISBI 2022); alignment is the same for any monotone function of it.
    """

    default_name = "extent"
    shift_invariant = True
    unit = "mm"
    ranks = (1, 2, 3)

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`; 0 for one pixel, and where the intensities sum to zero."""
        mass = weights(image, mask)
        if mass.shape.rank == 3:
            trace = image_moments(mass, spacing).trace
        else:
            trace = tf.cast(moments_nd(mass, spacing).trace, image.dtype)
        spread = tf.abs(tf.where(trace == 0, tf.ones_like(trace), trace))
        return tf.sign(trace) * tf.sqrt(spread)

    def is_defined(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.is_defined`; False where negative intensities make a variance or the mass negative."""
        mass = weights(image, mask)
        if mass.shape.rank == 3:
            return image_moments(mass, spacing).are_of_a_tumour
        return principal_axes(moments_nd(mass, spacing), mass.dtype).are_of_a_tumour

    def gradient(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.gradient`; closed form."""
        mass = weights(image, mask)
        if mass.shape.rank != 3:
            return as_field(_field_nd(mass, spacing), image, mask)
        moments = image_moments(mass, spacing)
        trace = moments.trace
        radius = tf.sqrt(tf.abs(trace))
        scale = tf.math.divide_no_nan(tf.ones_like(trace), 2 * moments.total * radius)
        scale, trace = scale[:, tf.newaxis, tf.newaxis], trace[:, tf.newaxis, tf.newaxis]
        # Rows and columns are computed separately first: their sum is the only pass over all pixels.
        return as_field(scale * (moments.dy**2 - trace) + scale * moments.dx**2, image, mask)


def _field_nd(mass: tf.Tensor, spacing: tf.Tensor | None) -> tf.Tensor:
    """∂g/∂w of sequences and volumes, (B, *spatial)."""
    moments = moments_nd(mass, spacing)
    trace = moments.trace
    slope = tf.math.divide_no_nan(tf.ones_like(trace), 2 * moments.total * tf.sqrt(tf.abs(trace)))
    scale, trace = (per_sample(tf.cast(values, mass.dtype), mass) for values in (slope, trace))
    field = -scale * trace
    for offset in moments.offsets:
        field = field + scale * offset**2
    return field
