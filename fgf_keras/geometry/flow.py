"""Gradient flow from a sample to the decision boundary, and averages along it.

The path is parametrised by the score itself: dx/dτ = -z(x₀) ∇z/‖∇z‖², τ ∈ [0, 1]. Then dz/dτ = -z(x₀), the
score falls linearly and every path ends on the boundary at τ = 1: a fixed interval, batched, no event search.
"""

import enum
from typing import NamedTuple

import tensorflow as tf

from fgf_keras.geometry.path_average import PathAverage
from fgf_keras.geometry.path_directions import PathDirections
from fgf_keras.geometry.products import inner, inner_products

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
        directions: (B, k, H, W, C), fields u_k with Σ_k u_k u_kᵀ the mean of ĝĝᵀ along the path, see
            `PathDirections`; k = 0 where they are not asked for.
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
    directions: tf.Tensor


def gradient_flow(
    score,
    image,
    observer,
    *,
    context=(),
    steps=2,
    max_steps=64,
    tolerance=1e-3,
    observations=128,
    directions=None,
    compiled=False,
) -> Flow:
    """Follow the gradient of the score to its zero with classical RK4, and average quantities along the path.

    1 + 4·steps gradient evaluations a sample, and one of the score alone: a Newton step x - z∇z/‖∇z‖² puts
    the end onto the boundary. Samples whose drift exceeds `tolerance` are integrated again with twice the
    steps until `max_steps`. The averages observe points between the steps too, see `PathAverage`.

    Args:
        score: function of (image, *context) to (z (B,), gradient (B, H, W, C)), the gradient already
            restricted to the support; each sample's values depend on that sample alone.
        image: (B, H, W, C).
        observer: an `Observer` of n quantities.
        context: tensors with a leading batch axis, handed to all functions (masks, spacings, classes).
        steps: number of steps of the first attempt.
        max_steps: most steps of a further attempt.
        tolerance: largest drift and residual of a path that counts as reached.
        observations: least number of points of the path that are observed.
        directions: "arc" or "score" for the mean of ĝĝᵀ over ds or dτ as well; None for no such fields.
        compiled: in a graph for XLA, where sizes must be known: all samples are integrated again where one
            has to be. The numbers are the same. Not with `directions`.

    Raises:
        ValueError: `steps` or `observations` is below 1.
    """
    for name, value in (("steps", steps), ("observations", observations)):
        if value < 1:
            raise ValueError(f"The {name!r} parameter of gradient_flow must be an int >= 1. Got {value!r}.")
    context = tuple(context)

    def unfinished(steps, *flow):
        return (steps <= most) & tf.reduce_any(Flow(*flow).status == FlowStatus.NOT_REACHED)

    def attempt(steps, *flow):
        flow = Flow(*flow)
        again = flow.status == FlowStatus.NOT_REACHED
        averages = PathAverage(observer, steps, observations, compiled=compiled), held
        if compiled:
            found = _integrate(score, image, context, steps, tolerance, *averages)
            found = found._replace(evaluations=found.evaluations + flow.evaluations)
            return (2 * steps, *(tf.where(_like(again, new), new, old) for old, new in zip(flow, found)))
        rows = tf.where(again)
        chosen = rows[:, 0]
        some = _integrate(
            score,
            tf.gather(image, chosen),
            [tf.gather(c, chosen) for c in context],
            steps,
            tolerance,
            *averages,
        )
        some = some._replace(evaluations=some.evaluations + tf.gather(flow.evaluations, chosen))
        return (2 * steps, *(_updated(old, rows, new) for old, new in zip(flow, some)))

    most = max(steps, max_steps)
    held = PathDirections(directions)
    start = (tf.constant(steps), *_nowhere(image, observer.quantities, held))
    # The first attempt is one of the loop too: what is in it would otherwise be traced twice.
    return Flow(*tf.while_loop(unfinished, attempt, start, parallel_iterations=1)[1:])


def _like(per_sample, field):
    return tf.reshape(per_sample, [-1] + [1] * (len(field.shape) - 1))


def _updated(old, rows, new):
    """Some rows replaced; TensorFlow refuses to do so where there is nothing in a row."""
    return old if 0 in old.shape[1:] else tf.tensor_scatter_nd_update(old, rows, new)


def _nowhere(image, quantities, held) -> Flow:
    """Paths that have not begun."""
    none = tf.zeros_like(image[:, 0, 0, 0])
    count = tf.zeros_like(none, tf.int32)
    means = tf.zeros([tf.shape(image)[0], quantities], image.dtype)
    status = count + int(FlowStatus.NOT_REACHED)
    return Flow(image, none, none, none, none, status, count, means, means, held.nothing(image))


def _integrate(score, image, context, steps, tolerance, average, held) -> Flow:
    dtype = image.dtype
    h = 1 / tf.cast(steps, dtype)

    def evaluate(x):
        """Score, its gradient and ‖∇z‖²."""
        z, gradient = score(x, *context)
        return tf.cast(z, dtype), gradient, tf.cast(inner(gradient, gradient), dtype)

    def towards(z, gradient, size):
        """The way on which the score falls by z at the rate it has here."""
        return -_like(tf.math.divide_no_nan(z, size), gradient) * gradient

    z0, g0, size0 = evaluate(image)
    # Of the stages after a step's first: where they lie, what they count, and what as halfway gradients. One
    # halfway stage lies as far beyond the path as the other falls short of it, so that their mean is near it.
    fraction, weight, half = (tf.constant(c, dtype) for c in ([0.5, 0.5, 1], [2.0, 2, 1], [0.5, 0.5, 0]))

    def advance(i, start, g_start, size, z, smallest, fields, *sums):
        del z
        slope = towards(z0, g_start, size)

        def stage(j, slope_here, increment, halfway, smallest):
            _, gradient, size = evaluate(start + fraction[j] * h * slope_here)
            slope_here = towards(z0, gradient, size)
            increment += weight[j] * slope_here
            return j + 1, slope_here, increment, halfway + half[j] * gradient, tf.minimum(smallest, size)

        _, _, increment, halfway, smallest = tf.while_loop(
            lambda j, *_: j < 3,
            stage,
            (tf.constant(0), slope, slope, tf.zeros_like(slope), smallest),
            parallel_iterations=1,
        )
        end = start + h / 6 * increment
        z, g_end, size = evaluate(end)
        ends = (start, end, h * slope, h * towards(z0, g_end, size))
        gradients = tf.stack((g_start, halfway, g_end), axis=1)
        gram = inner_products(*[tf.cast(gradients, tf.float64)] * 2)
        sums = average.plus_step(ends, gradients, gram, context, sums)
        fields = held.plus_step(gradients, gram, fields, average.intervals)
        return i + 1, end, g_end, size, z, tf.minimum(smallest, size), fields, *sums

    _, x, gradient, size, z, smallest, fields, observed, inverse_speed = tf.while_loop(
        lambda i, *_: i < steps,
        advance,
        (tf.constant(0), image, g0, size0, z0, size0, held.nothing(image), *average.nothing(z0)),
        parallel_iterations=1,
    )
    boundary = x + towards(z, gradient, size)

    on_boundary = tf.abs(z0) <= BOUNDARY_SCORE
    stationary = ~(smallest > 0)
    nan = tf.constant(float("nan"), dtype)

    def relative(z):
        share = tf.where(on_boundary, tf.zeros_like(z0), tf.abs(tf.math.divide_no_nan(z, z0)))
        return tf.where(stationary, nan, share)

    drift, residual = relative(z), relative(tf.cast(score(boundary, *context)[0], dtype))
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
        length=tf.where(stationary, nan, tf.abs(z0) * inverse_speed),
        status=status,
        evaluations=tf.fill(tf.shape(z0), 1 + 4 * steps),
        arc_mean=tf.where(undefined, nan, arc_mean),
        score_mean=tf.where(undefined, nan, observed[:, 1]),
        directions=_of_trace_one(fields),
    )


def _of_trace_one(fields):
    """Fields u_k scaled to Σ‖u_k‖² = 1, the trace of a mean of ĝĝᵀ."""
    trace = tf.linalg.trace(inner_products(fields, fields))[:, tf.newaxis, tf.newaxis, tf.newaxis, tf.newaxis]
    return tf.math.divide_no_nan(fields, tf.cast(tf.sqrt(trace), fields.dtype))
