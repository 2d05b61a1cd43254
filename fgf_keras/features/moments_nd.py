"""Moments of sequences and volumes inside a mask, for any number of axes; images have `moments.py`.

w = x·m (mean over channels), s = Σw, μ = Σ w r / s, C = Σ w (r-μ)(r-μ)ᵀ / s, with eigenvalues λ₁ ≥ λ₂ ≥ …
"""

from itertools import combinations
from typing import NamedTuple

import tensorflow as tf

from fgf_keras.features.moments import ROUND, axis_spacing


class MomentsND(NamedTuple):
    """Weighted moments of weights (B, *spatial) with s spatial axes.

    The small quantities are float64, whatever the type of the weights: they cost nothing, and eigenvalues
    that are nearly equal or nearly zero keep their digits.

    Attributes:
        total: (B,) float64, the sum of the weights.
        offsets: for each axis k the positions along it minus the centre, mm, (B, 1, …, n_k, …, 1) in the type
            of the weights.
        covariance: (B, s, s) float64, C in mm².
    """

    total: tf.Tensor
    offsets: tuple[tf.Tensor, ...]
    covariance: tf.Tensor

    @property
    def trace(self) -> tf.Tensor:
        """The sum of the variances along the axes in mm², (B,) float64."""
        return tf.linalg.trace(self.covariance)


class PrincipalAxes(NamedTuple):
    """Eigenvalues of C and what their derivatives need.

    Attributes:
        variances: (B, s) float64, λ₁ ≥ λ₂ ≥ … in mm².
        projectors: (B, s, s, s) float64, P_k = v_k v_kᵀ with v_k the k-th principal axis, so that
            ∂λ_k = ⟨P_k, ∂C⟩. Equal eigenvalues have no axes of their own: each is the mean of them all, and
            P_k the mean of their projectors, so that their ratio has the derivative 0.
        are_of_a_tumour: (B,) bool, whether the mass and all variances are those of intensities, not negative.
    """

    variances: tf.Tensor
    projectors: tf.Tensor
    are_of_a_tumour: tf.Tensor


def moments_nd(weights: tf.Tensor, spacing: tf.Tensor | None = None) -> MomentsND:
    """Moments of weights (B, *spatial); all zero where the weights sum to zero.

    Volumes are summed along one axis at a time: no array with three numbers per voxel is built.

    Args:
        weights: (B, *spatial) with s = 1, 2, 3, … spatial axes, float32 or float64.
        spacing: (B, s) or (s,) in mm; 1 mm by default.
    """
    count = weights.shape.rank - 1
    axes = range(count)
    mm = tf.cast(axis_spacing(spacing, count, weights.dtype), tf.float64)
    planes = {pair: _sum_onto(weights, pair) for pair in combinations(axes, 2)}
    lines = _lines(weights, planes)
    total = tf.reduce_sum(lines[0], axis=1)

    def mean(weighted: tf.Tensor) -> tf.Tensor:
        return tf.math.divide_no_nan(tf.reduce_sum(weighted, axis=1), total)

    offsets = []
    for k, line in enumerate(lines):
        # Positions are counted from the middle of the canvas, so that the centre is a small number.
        length = tf.shape(line)[1]
        position = tf.cast(tf.range(length, dtype=tf.int32) - length // 2, tf.float64) * mm[:, k, tf.newaxis]
        offsets.append(position - mean(line * position)[:, tf.newaxis])
    entries = {(k, k): mean(lines[k] * offsets[k] ** 2) for k in axes}
    for (i, j), plane in planes.items():
        entries[(i, j)] = entries[(j, i)] = mean(offsets[i] * tf.linalg.matvec(plane, offsets[j]))
    covariance = tf.stack([tf.stack([entries[(i, j)] for j in axes], axis=-1) for i in axes], axis=-2)
    on_canvas = (
        tf.cast(offset, weights.dtype)[
            (slice(None), *[tf.newaxis] * k, slice(None), *[tf.newaxis] * (count - 1 - k))
        ]
        for k, offset in enumerate(offsets)
    )
    return MomentsND(total, tuple(on_canvas), covariance)


def _sum_onto(weights: tf.Tensor, pair: tuple[int, int]) -> tf.Tensor:
    """Weights (B, *spatial) summed over all spatial axes but these two, in float64."""
    for axis in reversed(range(weights.shape.rank - 1)):
        if axis not in pair:
            weights = tf.reduce_sum(weights, axis=axis + 1)
    return tf.cast(weights, tf.float64)


def _lines(weights: tf.Tensor, planes: dict[tuple[int, int], tf.Tensor]) -> list[tf.Tensor]:
    """Weights summed over all spatial axes but one, for each of them, (B, n_k) float64."""
    if not planes:
        return [tf.cast(weights, tf.float64)]
    # Each axis is the second of a plane, but for the first one.
    seconds = [tf.reduce_sum(planes[(0, k)], axis=1) for k in range(1, weights.shape.rank - 1)]
    return [tf.reduce_sum(planes[(0, 1)], axis=2), *seconds]


def principal_axes(moments: MomentsND, dtype: tf.DType) -> PrincipalAxes:
    """The eigenvalues of the covariance, largest first.

    Args:
        moments: of weights.
        dtype: of the weights; it decides which differences of eigenvalues are rounding.
    """
    covariance = moments.covariance
    # The solver raises an error for numbers that are not finite, as a path that overflows meets them.
    finite = tf.reduce_all(tf.math.is_finite(covariance), axis=[1, 2], keepdims=True)
    constant = tf.stop_gradient(tf.where(finite, covariance, tf.zeros_like(covariance)))
    ascending, vectors = tf.linalg.eigh(constant)
    rough, axes = ascending[:, ::-1], tf.transpose(vectors[:, :, ::-1], [0, 2, 1])
    single = axes[:, :, :, tf.newaxis] * axes[:, :, tf.newaxis, :]
    floor = ROUND[dtype] * tf.reduce_sum(tf.abs(rough), axis=1)
    equal = tf.abs(rough[:, :, tf.newaxis] - rough[:, tf.newaxis, :]) <= floor[:, tf.newaxis, tf.newaxis]
    share = tf.cast(equal, covariance.dtype)
    share /= tf.reduce_sum(share, axis=2, keepdims=True)
    projectors = tf.einsum("bkl,blij->bkij", share, single)
    # With the axes held constant, ⟨P_k, C⟩ has the value of λ_k and, for automatic differentiation too, its
    # first derivative; that of the solver itself is NaN where eigenvalues are equal.
    variances = tf.einsum("bkij,bij->bk", projectors, covariance)
    positive = (moments.total > 0) & (rough[:, -1] >= -floor)
    return PrincipalAxes(variances, projectors, positive & finite[:, 0, 0])


def quadratic_form(offsets: tuple[tf.Tensor, ...], form: tf.Tensor, constant: tf.Tensor) -> tf.Tensor:
    """ρᵀQρ + c at each position, (B, *spatial), with ρ = r - μ.

    Args:
        offsets: ρ along each of the s axes, see `MomentsND`.
        form: (B, s, s), Q, symmetric.
        constant: (B,), c.
    """
    dtype, count = offsets[0].dtype, len(offsets)
    form = tf.cast(form, dtype)

    def coefficient(i: int, j: int) -> tf.Tensor:
        return tf.reshape(form[:, i, j], [-1] + [1] * count)

    result = tf.reshape(tf.cast(constant, dtype), [-1] + [1] * count)
    for j, offset in enumerate(offsets):
        # Terms of the first axes come first, because there are few of them: only those of the last axis are
        # as large as the canvas.
        slope = sum((2 * coefficient(i, j) * offsets[i] for i in range(j)), coefficient(j, j) * offset)
        result = result + slope * offset
    return result
