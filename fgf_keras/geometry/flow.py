"""Gradient flow from a sample to the decision boundary, and averages along it.

The path is parametrised by the score itself: dx/dτ = -z(x₀) ∇z/‖∇z‖², τ ∈ [0, 1]. Then dz/dτ = -z(x₀), the
score falls linearly and every path ends on the boundary at τ = 1: a fixed interval, batched, no event search.
"""

import enum
from typing import NamedTuple

import tensorflow as tf

from fgf_keras.geometry.path_average import PathAverage
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
    FlowStatus.NOT_REACHED: "The path could not be followed to the decision boundary within the tolerance, "
    "with the most steps allowed; raise max_steps, or accept a larger tolerance.",
    FlowStatus.STATIONARY: "The gradient of the score vanishes at the sample or on its path, so there is no "
    "direction to follow; S or F is undefined here.",
    FlowStatus.ON_BOUNDARY: "The sample lies on the decision boundary already; F is S at the sample.",
}


class Flow(NamedTuple):
    """The end of each path and the averages along it.

    Attributes:
        boundary: (B, H, W, C), the image at the end of the path.
        score: (B,), z at the start.
        drift: (B,), |z/z(0)| where the steps end: how far the path strayed from the score it should have.
        residual: (B,), |z(1)/z(0)| at the boundary, after the Newton step.
        length: (B,), arc length ∫‖dx‖, in units of the image.
        status: (B,) int32, values of `FlowStatus`.
        evaluations: (B,) int32, gradient evaluations spent.
        arc_mean: (B, n), ∫ q ds / ∫ ds of the observed quantities q.
        score_mean: (B, n), ∫ q dτ.
        NaN in both means where the path is STATIONARY.
    """

    boundary: tf.Tensor
    score: tf.Tensor
    drift: tf.Tensor
    residual: tf.Tensor
    length: tf.Tensor
    status: tf.Tensor
    evaluations: tf.Tensor
    arc_mean: tf.Tensor
    score_mean: tf.Tensor


def gradient_flow(
    score, image, *, observe, context=(), steps=2, max_steps=64, tolerance=1e-3, observations=128
) -> Flow:
    """Follow the gradient of the score to its zero with classical RK4, and average quantities along the path.

    1 + 4·steps gradient evaluations a sample, and one of the score alone: a Newton step x - z∇z/‖∇z‖² puts the
    end onto the boundary. Samples whose drift exceeds `tolerance` are integrated again with twice the steps
    until `max_steps`. The averages observe points between the steps too, see `PathAverage`.

    Args:
        score: function of (image, *context) to (z (B,), gradient (B, H, W, C)), the gradient already
            restricted to the support; each sample's values depend on that sample alone.
        image: (B, H, W, C).
        observe: function of (image, gradient, *context) to quantities (B, n), e.g. S of each feature; each
            sample's values depend on that sample alone.
        context: tensors with a leading batch axis, handed to both functions (masks, spacings, classes).
        steps: number of steps of the first attempt.
        max_steps: most steps of a further attempt; no further attempts below 2·steps.
        tolerance: largest drift and residual of a path that counts as reached.
        observations: least number of points of the path that are observed.

    Raises:
        ValueError: `steps` or `observations` is below 1.
    """
    for name, value in (("steps", steps), ("observations", observations)):
        if value < 1:
            raise ValueError(f"The {name!r} parameter of gradient_flow must be an int >= 1. Got {value!r}.")
    context = tuple(context)

    def attempt(image, context, steps):
        return _integrate(score, observe, image, context, steps, tolerance, observations)

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


def _integrate(score, observe, image, context, steps, tolerance, observations):
    z0, g0 = score(image, *context)
    dtype = image.dtype
    h = 1 / tf.cast(steps, dtype)
    average = PathAverage(observe, context, steps, observations, dtype)

    def squared(gradient):
        return tf.cast(inner(gradient, gradient), dtype)

    def towards(z, gradient, size):
        """The way on which the score falls by z at the rate it has here."""
        return -_as_field(tf.math.divide_no_nan(tf.cast(z, dtype), size)) * gradient

    def advance(i, start, g_start, z, smallest, *sums):
        del z
        k = first = towards(z0, g_start, squared(g_start))
        increment, stages = first, []
        for fraction, weight in ((0.5, 2.0), (0.5, 2.0), (1.0, 1.0)):
            _, stage = score(start + tf.cast(fraction, dtype) * h * k, *context)
            size = squared(stage)
            smallest = tf.minimum(smallest, size)
            k = towards(z0, stage, size)
            increment += tf.cast(weight, dtype) * k
            stages.append(stage)
        end = start + h / 6 * increment
        z, g_end = score(end, *context)
        size = squared(g_end)
        # One halfway stage lies as far beyond the path as the other falls short of it.
        halfway = (stages[0] + stages[1]) / 2
        sums = average.between(
            (start, end, h * first, h * towards(z0, g_end, size)), (g_start, halfway, g_end), sums
        )
        return i + 1, end, g_end, z, tf.minimum(smallest, size), *sums

    _, x, gradient, z, smallest, *sums = tf.while_loop(
        lambda i, *_: i < steps,
        advance,
        (tf.constant(0), image, g0, z0, squared(g0), *average.start(image, g0)),
        parallel_iterations=1,
    )
    observed, inverse_speed = average.end(x, gradient, sums)
    boundary = x + towards(z, gradient, squared(gradient))

    on_boundary = tf.abs(z0) <= BOUNDARY_SCORE
    stationary = ~(smallest > 0)
    nan = tf.constant(float("nan"), dtype)

    def relative(z):
        share = tf.where(on_boundary, tf.zeros_like(z0), tf.abs(tf.math.divide_no_nan(z, z0)))
        return tf.where(stationary, tf.cast(nan, z0.dtype), share)

    drift, residual = relative(z), relative(score(boundary, *context)[0])
    reached = (drift <= tolerance) & (residual <= tolerance)
    status = tf.where(reached, int(FlowStatus.REACHED), int(FlowStatus.NOT_REACHED))
    status = tf.where(on_boundary, int(FlowStatus.ON_BOUNDARY), status)
    status = tf.where(stationary, int(FlowStatus.STATIONARY), status)
    undefined = stationary[:, tf.newaxis]
    # ds/dτ = |z0|/‖∇z‖; the constant |z0| cancels in the mean, which keeps it defined on the boundary.
    arc_mean = tf.math.divide_no_nan(observed[:, 0], inverse_speed[:, tf.newaxis])
    return Flow(
        boundary=boundary,
        score=z0,
        drift=drift,
        residual=residual,
        length=tf.where(stationary, nan, tf.abs(tf.cast(z0, dtype)) * inverse_speed),
        status=status,
        evaluations=tf.fill(tf.shape(z0), 1 + 4 * steps),
        arc_mean=tf.where(undefined, nan, arc_mean),
        score_mean=tf.where(undefined, nan, observed[:, 1]),
    )


def _as_field(per_sample):
    return per_sample[:, tf.newaxis, tf.newaxis, tf.newaxis]
