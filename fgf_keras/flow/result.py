"""The result of the gradient flow: the end of each path, its status, and the averages along it."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from fgf_keras.flow.box import Box
from fgf_keras.flow.chords import Observer, observe_chord
from fgf_keras.flow.passage import Paths, Score, Start
from fgf_keras.flow.status import FlowStatus
from fgf_keras.geometry.products import inner_products, norm_of, per_sample

# A path longer than this many norms of its image leads to images unlike any that were trained on.
FAR = 2.0


class FlowResult(NamedTuple):
    """The end of each path and the averages along it.

    Attributes:
        boundary: (B, H, W, C), the image at the end of the path.
        score, end_score: (B,), z at the start and at the end.
        residual: (B,), |z(end)/z(start)|; NaN where there is no direction to follow.
        length: (B,), arc length, in units of the image; NaN where the path did not end.
        far: (B,) bool, whether it is longer than `FAR` norms of the image.
        status: (B,) int32, values of `FlowStatus`.
        evaluations: (B,) int32, gradient evaluations spent.
        arc_mean: (B, n), ∫ q ds / ∫ ds of the observed quantities q.
        score_mean: (B, n), ∫ q dτ, τ the fraction of the score that has been lost.
        arc_error, score_error: (B, n), estimates of their errors.
        directions: (B, k, H, W, C), fields u_k with Σ_k u_k u_kᵀ the mean of d dᵀ along the path, see
            `PathDirections`; k = 0 unless requested.

    The means are NaN unless the status is one of `ENDED`.
    """

    boundary: tf.Tensor
    score: tf.Tensor
    end_score: tf.Tensor
    residual: tf.Tensor
    length: tf.Tensor
    far: tf.Tensor
    status: tf.Tensor
    evaluations: tf.Tensor
    arc_mean: tf.Tensor
    score_mean: tf.Tensor
    arc_error: tf.Tensor
    score_error: tf.Tensor
    directions: tf.Tensor


def flow_result(
    score: Score,
    start: Start,
    paths: Paths,
    observer: Observer,
    context: Sequence[tf.Tensor],
    *,
    box: Box | None,
    compiled: bool,
) -> FlowResult:
    """The result of all paths, from their starts and last passages; see `gradient_flow`."""
    dtype = start.image.dtype
    nan = tf.constant(float("nan"), dtype)
    on_boundary = tf.equal(paths.status, FlowStatus.ON_BOUNDARY)
    reached = tf.equal(paths.status, FlowStatus.REACHED)
    arrived = reached | on_boundary | tf.equal(paths.status, FlowStatus.NOT_CONVERGED)
    z_end, gradient = score(paths.end, *context)
    z_end = tf.cast(z_end, dtype)
    residual = tf.where(on_boundary, tf.zeros_like(z_end), tf.abs(tf.math.divide_no_nan(z_end, start.score)))
    has_direction = arrived | tf.equal(paths.status, FlowStatus.NOT_REACHED)
    residual = tf.where(has_direction, residual, nan)

    def at_sample() -> tf.Tensor:
        return observe_chord(
            observer,
            start.image,
            tf.zeros_like(start.image),
            start.direction,
            context,
            compiled=compiled,
        )

    # F of a sample on the boundary is S at the sample.
    none = tf.zeros_like(paths.earlier[:, 0])
    pointwise = tf.cond(tf.reduce_any(on_boundary), at_sample, lambda: none)
    means = tf.where(per_sample(on_boundary, paths.earlier), pointwise[:, tf.newaxis], paths.earlier)
    means = tf.where(per_sample(reached | on_boundary, means), means, nan)
    errors = tf.where(per_sample(arrived, paths.errors), paths.errors, nan)
    length = tf.where(arrived, paths.length, nan)
    norm = norm_of(start.image)
    no_path = per_sample(on_boundary, paths.directions)
    directions = tf.where(no_path, start.direction[:, tf.newaxis], paths.directions)
    return FlowResult(
        boundary=paths.end,
        score=start.score,
        end_score=tf.where(on_boundary, tf.zeros_like(z_end), z_end),
        residual=residual,
        length=length,
        far=arrived & (norm > 0) & (length > FAR * norm),
        status=paths.status if box is None else _blocked(paths, gradient, start, box),
        evaluations=paths.evaluations,
        arc_mean=means[:, 0],
        score_mean=means[:, 1],
        arc_error=errors[:, 0],
        score_error=errors[:, 1],
        directions=_of_trace_one(directions),
    )


def _blocked(paths: Paths, gradient: tf.Tensor, start: Start, box: Box) -> tf.Tensor:
    """The statuses of bounded paths: BLOCKED where limits hold back the gradient at which a path stopped."""
    stopped = tf.equal(paths.status, FlowStatus.STATIONARY)
    held = box.holds(paths.end, gradient, start.score)
    return tf.where(stopped & held, int(FlowStatus.BLOCKED), paths.status)


def _of_trace_one(fields: tf.Tensor) -> tf.Tensor:
    """Fields u_k scaled to Σ_k ‖u_k‖² = 1, the trace of a mean of d dᵀ."""
    size = tf.sqrt(tf.linalg.trace(inner_products(fields, fields)))
    return tf.math.divide_no_nan(fields, per_sample(tf.cast(size, fields.dtype), fields))
