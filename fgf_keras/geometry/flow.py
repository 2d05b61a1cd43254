"""Gradient flow from a sample to the decision boundary, and averages along it.

The path is parametrised by the score itself: dx/dτ = -z(x₀) ∇z/‖∇z‖², τ ∈ [0, 1]. Then dz/dτ = -z(x₀), the
score falls linearly and every path ends on the boundary at τ = 1: a fixed interval, batched, no event search.
"""

import enum
from typing import NamedTuple

import tensorflow as tf

from fgf_keras.geometry.products import inner

# A score below this is on the boundary already: its relative residual would measure rounding alone.
BOUNDARY_SCORE = 1e-6


class FlowStatus(enum.IntEnum):
    """How the path of a sample ended; `sentence` says it to a reader."""

    REACHED = 0
    NOT_REACHED = 1
    STATIONARY = 2
    ON_BOUNDARY = 3

    @property
    def sentence(self) -> str:
        """What the status means and what to do about it."""
        return _SENTENCES[self]


# The path ended on the boundary, so that F is the mean over a whole path.
ENDED = (FlowStatus.REACHED, FlowStatus.ON_BOUNDARY)

_SENTENCES = {
    FlowStatus.REACHED: "The path ended on the decision boundary.",
    FlowStatus.NOT_REACHED: "The path did not end on the decision boundary within the tolerance, with the "
    "most steps allowed; raise max_steps, or accept a larger tolerance.",
    FlowStatus.STATIONARY: "The gradient of the score vanishes at the sample or on its path, so there is no "
    "direction to follow; S or F is undefined here.",
    FlowStatus.ON_BOUNDARY: "The sample lies on the decision boundary already; F is S at the sample.",
}


class Flow(NamedTuple):
    """The end of each path and the averages along it.

    Attributes:
        boundary: (B, H, W, C), the image at the end of the path.
        score: (B,), z at the start.
        residual: (B,), |z(1)/z(0)|.
        length: (B,), arc length ∫‖dx‖, in units of the image.
        status: (B,) int32, values of `FlowStatus`.
        evaluations: (B,) int32, gradient evaluations spent.
        arc_mean: (B, n), ∫ q ds / ∫ ds of the observed quantities q.
        score_mean: (B, n), ∫ q dτ.
        NaN in both means where the path is STATIONARY.
    """

    boundary: tf.Tensor
    score: tf.Tensor
    residual: tf.Tensor
    length: tf.Tensor
    status: tf.Tensor
    evaluations: tf.Tensor
    arc_mean: tf.Tensor
    score_mean: tf.Tensor


def gradient_flow(score, image, *, observe, context=(), steps=4, max_steps=64, tolerance=1e-3) -> Flow:
    """Follow the gradient of the score to its zero with classical RK4, and average quantities along the path.

    The averages use Simpson's rule on the nodes of the steps. 1 + 4·steps gradient evaluations a sample;
    samples whose residual exceeds `tolerance` are integrated again with twice the steps until `max_steps`.

    Args:
        score: function of (image, *context) to (z (B,), gradient (B, H, W, C)), the gradient already
            restricted to the support; each sample's values depend on that sample alone.
        image: (B, H, W, C).
        observe: function of (image, gradient, *context) to quantities (B, n), e.g. S of each feature.
        context: tensors with a leading batch axis, handed to both functions (masks, spacings, classes).
        steps: even number of steps of the first attempt.
        max_steps: most steps of a further attempt; no further attempts below 2·steps.
        tolerance: largest residual |z(1)/z(0)| that counts as reached.

    Raises:
        ValueError: `steps` is not an even number ≥ 2.
    """
    if steps < 2 or steps % 2:
        raise ValueError(f"The 'steps' parameter of gradient_flow must be an even int >= 2. Got {steps!r}.")
    context = tuple(context)

    def attempt(image, context, steps):
        return _integrate(score, observe, image, context, steps, tolerance)

    flow = attempt(image, context, tf.constant(steps))

    def unfinished(steps, *flow):
        return (2 * steps <= max_steps) & tf.reduce_any(Flow(*flow).status == FlowStatus.NOT_REACHED)

    def again(steps, *flow):
        flow = Flow(*flow)
        rows = tf.where(flow.status == FlowStatus.NOT_REACHED)
        chosen = rows[:, 0]
        finer = attempt(tf.gather(image, chosen), [tf.gather(c, chosen) for c in context], 2 * steps)
        finer = finer._replace(evaluations=finer.evaluations + tf.gather(flow.evaluations, chosen))
        return (2 * steps, *(tf.tensor_scatter_nd_update(old, rows, new) for old, new in zip(flow, finer)))

    if 2 * steps <= max_steps:
        flow = Flow(*tf.while_loop(unfinished, again, (tf.constant(steps), *flow), parallel_iterations=1)[1:])
    return flow


def _integrate(score, observe, image, context, steps, tolerance):
    z0, g0 = score(image, *context)
    dtype = image.dtype
    h = 1 / tf.cast(steps, dtype)

    def velocity(gradient, size):
        return -_as_field(tf.math.divide_no_nan(tf.cast(z0, dtype), size)) * gradient

    def node(weight, image, gradient, size, sums):
        # ds/dτ = |z0|/‖∇z‖; the constant |z0| cancels in the mean, which keeps it defined on the boundary.
        observed, total, smallest = sums
        values = tf.cast(observe(image, gradient, *context), dtype)
        speed = tf.math.divide_no_nan(tf.ones_like(size), tf.sqrt(size))
        weighted = weight * tf.stack([values * speed[:, tf.newaxis], values], axis=1)
        return observed + weighted, total + weight * speed, tf.minimum(smallest, size)

    def advance(i, x, gradient, size, z, sums):
        k1 = velocity(gradient, size)
        smallest = sums[2]
        k = k1
        increment = k1
        for fraction, weight in ((0.5, 2.0), (0.5, 2.0), (1.0, 1.0)):
            _, stage = score(x + tf.cast(fraction, dtype) * h * k, *context)
            stage_size = tf.cast(inner(stage, stage), dtype)
            smallest = tf.minimum(smallest, stage_size)
            k = velocity(stage, stage_size)
            increment += tf.cast(weight, dtype) * k
        x += h / 6 * increment
        z, gradient = score(x, *context)
        size = tf.cast(inner(gradient, gradient), dtype)
        last = tf.equal(i, steps - 1)
        weight = tf.where(last, 1.0, tf.where(tf.equal(i % 2, 0), 4.0, 2.0))
        sums = node(tf.cast(weight, dtype) * h / 3, x, gradient, size, (sums[0], sums[1], smallest))
        return i + 1, x, gradient, size, z, sums

    size0 = tf.cast(inner(g0, g0), dtype)
    quantities = tf.cast(observe(image, g0, *context), dtype)
    zeros = tf.stack([tf.zeros_like(quantities)] * 2, axis=1)
    sums = node(h / 3, image, g0, size0, (zeros, tf.zeros_like(size0), size0))
    _, x, _, _, z, (observed, total, smallest) = tf.while_loop(
        lambda i, *_: i < steps,
        advance,
        (tf.constant(0), image, g0, size0, z0, sums),
        parallel_iterations=1,
    )

    on_boundary = tf.abs(z0) <= BOUNDARY_SCORE
    residual = tf.where(on_boundary, tf.zeros_like(z0), tf.abs(tf.math.divide_no_nan(z, z0)))
    stationary = ~(smallest > 0)
    status = tf.where(residual <= tolerance, int(FlowStatus.REACHED), int(FlowStatus.NOT_REACHED))
    status = tf.where(on_boundary, int(FlowStatus.ON_BOUNDARY), status)
    status = tf.where(stationary, int(FlowStatus.STATIONARY), status)
    nan = tf.constant(float("nan"), dtype)
    undefined = stationary[:, tf.newaxis]
    return Flow(
        boundary=x,
        score=z0,
        residual=tf.where(stationary, tf.cast(nan, z0.dtype), residual),
        length=tf.where(stationary, nan, tf.abs(tf.cast(z0, dtype)) * total),
        status=status,
        evaluations=tf.fill(tf.shape(z0), 1 + 4 * steps),
        arc_mean=tf.where(undefined, nan, tf.math.divide_no_nan(observed[:, 0], total[:, tf.newaxis])),
        score_mean=tf.where(undefined, nan, observed[:, 1]),
    )


def _as_field(per_sample):
    return per_sample[:, tf.newaxis, tf.newaxis, tf.newaxis]
