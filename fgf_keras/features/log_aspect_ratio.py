"""How elongated the tumour is, as the logarithm of the ratio of its axes."""

import keras
import tensorflow as tf

from fgf_keras.features.axis_ratios import (
    log_axis,
    log_axis_slope,
    log_ratio,
    log_ratio_field,
    shortest_variance,
    tumour_axes,
)
from fgf_keras.features.base import Feature, refuse_ranks
from fgf_keras.features.moments import Moments, as_field, image_moments, pixel_spacing, weights


@keras.saving.register_keras_serializable(package="fgf_keras")
class LogAspectRatio(Feature):
    """Log of major over minor axis, g = ½(log |λ₁| - log |λ₂|), no unit.

    λ₁ ≥ λ₂ (≥ λ₃ for volumes) are the eigenvalues of the covariance of position under the intensities.
    ∂λ_k/∂x_j = m_j ((v_k·(r_j - μ))² - λ_k) / s, with v_k the k-th principal axis. Below e·a²/12, with a the
    smaller spacing, the logarithm is continued by its tangent, whose value at λ = 0 is the log of the
    variance of a pixel, a²/12: a line one pixel wide has a finite ratio, and a single pixel a ratio of 1. A
    round tumour is at the minimum, where the ratio has a cusp; its gradient there is 0, the value of the
    symmetric difference quotient. λ is negative only where intensities are, as can happen on a path to the
    decision boundary; there, too, alignment is that of λ₁/λ₂. Source: Jin, Garneau, Fletcher (ISBI 2022).
    """

    default_name = "log_aspect_ratio"
    shift_invariant = True
    ranks = (2, 3)

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`."""
        refuse_ranks([self], len(image.shape) - 2)
        if len(image.shape) != 4:
            return log_ratio(image, mask, spacing, 1)
        major, minor, least, _ = _axes(image, mask, spacing)
        return 0.5 * (log_axis(major, least) - log_axis(minor, least))

    def is_defined(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.is_defined`; False where negative intensities make a variance or the mass negative."""
        if len(image.shape) != 4:
            return tumour_axes(image, mask, spacing)
        return image_moments(weights(image, mask), spacing).are_of_a_tumour

    def gradient(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.gradient`; closed form."""
        refuse_ranks([self], len(image.shape) - 2)
        if len(image.shape) != 4:
            return log_ratio_field(image, mask, spacing, 1)
        major, minor, least, moments = _axes(image, mask, spacing)
        major_inverse, minor_inverse = log_axis_slope(major, least), log_axis_slope(minor, least)
        # (v₁·ρ)² - (v₂·ρ)² = ρᵀDρ / (λ₁-λ₂) with D = [[yy-xx, 2yx], [2yx, xx-yy]]: no eigenvectors needed.
        even = (major_inverse - minor_inverse) / 2
        uneven = tf.math.divide_no_nan((major_inverse + minor_inverse) / 2, moments.anisotropy)
        difference = uneven * (moments.yy - moments.xx)
        constant = minor * minor_inverse - major * major_inverse
        scale = tf.math.divide_no_nan(tf.ones_like(major), 2 * moments.total)
        of_y, of_x, of_both, constant = (
            (scale * coefficient)[:, tf.newaxis, tf.newaxis]
            for coefficient in (even + difference, even - difference, 4 * uneven * moments.yx, constant)
        )
        dy, dx = moments.dy, moments.dx
        # Terms of rows and of columns alone come first, because there are few of them.
        field = (of_y * dy**2 + constant) + of_x * dx**2 + (of_both * dy) * dx
        return as_field(field, image, mask)


def _axes(
    image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Moments]:
    moments = image_moments(weights(image, mask), spacing)
    least = shortest_variance(pixel_spacing(spacing, image))
    return (
        (moments.trace + moments.anisotropy) / 2,
        (moments.trace - moments.anisotropy) / 2,
        least,
        moments,
    )
