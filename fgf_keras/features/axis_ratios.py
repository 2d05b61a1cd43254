"""Ratios of the principal axes of a tumour, with logarithms that stay finite where an axis vanishes."""

import math

import tensorflow as tf

from fgf_keras.features.moments import as_field, axis_spacing, weights
from fgf_keras.features.moments_nd import MomentsND, PrincipalAxes, moments_nd, principal_axes, quadratic_form


def log_ratio(image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None, axis: int) -> tf.Tensor:
    """½(log |λ₁| - log |λ_k|) of volumes, (B,).

    Args:
        image, mask, spacing: as for `Feature.value`, with two spatial axes or more.
        axis: k - 1: 1 for the second longest axis, 2 for the third.
    """
    _, axes, least = _axes(image, mask, spacing)
    major, other = axes.variances[:, 0], axes.variances[:, axis]
    return tf.cast(0.5 * (log_axis(major, least) - log_axis(other, least)), image.dtype)


def log_ratio_field(image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None, axis: int) -> tf.Tensor:
    """The gradient of `log_ratio` with respect to the image, (B, *spatial, C)."""
    moments, axes, least = _axes(image, mask, spacing)
    major, other = axes.variances[:, 0], axes.variances[:, axis]
    major_slope, other_slope = log_axis_slope(major, least), log_axis_slope(other, least)
    scale = tf.math.divide_no_nan(tf.ones_like(major), 2 * moments.total)
    of_major, of_other = scale * major_slope, scale * other_slope
    form = (
        of_major[:, tf.newaxis, tf.newaxis] * axes.projectors[:, 0]
        - of_other[:, tf.newaxis, tf.newaxis] * axes.projectors[:, axis]
    )
    field = quadratic_form(moments.offsets, form, of_other * other - of_major * major)
    return as_field(field, image, mask)


def tumour_axes(image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None) -> tf.Tensor:
    """(B,) bool, whether mass and variances of volumes are those of intensities, not negative."""
    return _axes(image, mask, spacing)[1].are_of_a_tumour


def log_axis(variance: tf.Tensor, least: tf.Tensor) -> tf.Tensor:
    """log |λ|, continued by its tangent below `least`."""
    size = tf.maximum(tf.abs(variance), least)
    return tf.math.log(size) + (tf.abs(variance) - size) / least


def log_axis_slope(variance: tf.Tensor, least: tf.Tensor) -> tf.Tensor:
    """The derivative of `log_axis`."""
    size = tf.maximum(tf.abs(variance), least)
    return tf.where(variance < 0, -1 / size, 1 / size)


def shortest_variance(spacing: tf.Tensor) -> tf.Tensor:
    """e·a²/12 with a the smallest spacing, (B,): below it, `log_axis` is a tangent, log(a²/12) at 0."""
    return math.e / 12 * tf.reduce_min(spacing, axis=1) ** 2


def _axes(
    image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None
) -> tuple[MomentsND, PrincipalAxes, tf.Tensor]:
    mass = weights(image, mask)
    moments = moments_nd(mass, spacing)
    mm = axis_spacing(spacing, len(moments.offsets), mass.dtype)
    least = shortest_variance(tf.cast(mm, tf.float64))
    return moments, principal_axes(moments, mass.dtype), least
