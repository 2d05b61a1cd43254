"""Gradient flow from a sample to the decision boundary, and averages along it.

The path is a curve in image space: it follows the gradient of the score down (or up) from the image to the
zero of the score. It does not depend on how the score is scaled: the averages for φ(z) are those for z, for
every increasing φ with φ(0)=0.
"""

from collections.abc import Sequence

import tensorflow as tf

from fgf_keras.flow.box import Box
from fgf_keras.flow.chords import Observer
from fgf_keras.flow.directions import PathDirections
from fgf_keras.flow.march import begin, march
from fgf_keras.flow.passage import Outcome, Passage, Paths, Score, Start, Stride
from fgf_keras.flow.result import FlowResult, flow_result
from fgf_keras.flow.settings import AVERAGES, Flow
from fgf_keras.flow.status import FlowStatus
from fgf_keras.flow.step import step_of
from fgf_keras.geometry.products import norm_of, per_sample

# A sample counts as on the boundary when its distance from it is at most this fraction of its norm.
ON_BOUNDARY = 1e-6
# On a smooth path, the tolerance for a passage of fewer steps than this is reduced by the square of the ratio
# of the two numbers, unless no finer passage is allowed.
TRUSTED_STEPS = 16
# Steps of the first passage that expects kinks.
KINKED_STEPS = 8
# Where the error is proportional to the step, each passage has this many times the steps of the previous one.
_KINKED_GROWTH = 2.75
# A passage is complete if it took at least this fraction of the steps it was meant to take.
_LEAST = 0.6
# Most passages per sample.
_TRIES = 12
_UNFINISHED = -1


def gradient_flow(
    score: Score,
    image: tf.Tensor,
    observer: Observer,
    *,
    context: Sequence[tf.Tensor] = (),
    flow: Flow | None = None,
    directions: bool = False,
    rounding: float = 0.0,
    compiled: bool = False,
) -> FlowResult:
    """Follow the gradient of the score to its zero, and average quantities along the path.

    A first passage of about `flow.steps` steps finds the boundary, and a second one with steps half as long
    shows how accurate the first was: the estimated error is the difference of their means. Passages with ever
    shorter steps follow until the error is within the tolerance. Where the directions of the steps jump
    (ReLU, max pooling), the path turns at kinks or slides along them, and finite steps that slide jump back
    and forth between the two sides: the path is then followed in `KINKED_STEPS` or more steps of equal
    length, and observed over chords of about √(steps/2) of them, whose directions are those of the path
    itself. The error is proportional to the square of the step where the score is smooth, and to the step
    where it has kinks.

    With `flow.range == "bounded"` the path does not leave [0, 1]: where a pixel is at a limit, the component
    of the gradient that would move it further is set to zero, and the path follows this projected gradient.

    Args:
        score: function of (image, *context) to (z (B,), gradient (B, H, W, C)), the gradient already
            restricted to the support; each sample's values depend on that sample alone.
        image: (B, H, W, C); in [0, 1] for a bounded path.
        observer: an `Observer` of n quantities.
        context: tensors with a leading batch axis, passed to all functions (masks, spacings, classes).
        flow: steps, tolerance of the controlled quantities, and the mean that the tolerance applies to;
            `Flow()` by default.
        directions: whether to return the mean of d dᵀ as well, weighted like that mean.
        rounding: largest relative error of the numbers that the score is computed in, if that is coarser
            than float32: a distance from the boundary of less than this part of the image's norm is none.
        compiled: in a graph for XLA, where sizes must be static: all samples are computed until the last one
            has ended. The numbers are the same.
    """
    flow = flow or Flow()
    context = tuple(context)
    box = Box.of(flow.range)
    start = begin(score, image, context, box)
    count = observer.quantities if observer.controlled is None else observer.controlled
    controlled = AVERAGES.index(flow.average), count
    step, path_average = step_of(flow.step), flow.average if directions else None

    def after_passage(start: Start, paths: Paths, context: Sequence[tf.Tensor]) -> Paths:
        """The paths after one more passage."""
        passage = march(
            score,
            start,
            _stride(paths),
            observer,
            context,
            step=step,
            box=box,
            directions=path_average,
            rounding=rounding,
            compiled=compiled,
        )
        return _judged(paths, passage, flow, controlled)

    def unfinished(*state: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any(tf.equal(Paths(*state).status, _UNFINISHED))

    def attempt(*state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        paths = Paths(*state)
        active = tf.equal(paths.status, _UNFINISHED)
        if compiled:
            after = after_passage(start, paths, context)
            return tuple(tf.where(per_sample(active, new), new, old) for old, new in zip(paths, after))
        rows = tf.where(active)
        active_paths = Paths(*(tf.gather(value, rows[:, 0]) for value in paths))
        active_start = Start(*(tf.gather(value, rows[:, 0]) for value in start))
        active_context = [tf.gather(value, rows[:, 0]) for value in context]
        after = after_passage(active_start, active_paths, active_context)
        return tuple(_updated(old, rows, new) for old, new in zip(paths, after))

    on_boundary = max(ON_BOUNDARY, rounding)
    first = _begun(start, observer, flow.steps, PathDirections(path_average), on_boundary)
    final = Paths(*tf.while_loop(unfinished, attempt, first, parallel_iterations=1))
    return flow_result(score, start, final, observer, context, box=box, compiled=compiled)


def _begun(
    start: Start, observer: Observer, steps: int, path_directions: PathDirections, near: float
) -> Paths:
    """Paths before the first passage; some of them have already ended."""
    none = tf.zeros_like(start.score)
    count = tf.zeros_like(none, tf.int32)
    no = tf.zeros_like(none, tf.bool)
    distance = tf.math.divide_no_nan(tf.abs(start.score), start.slope)
    norm = norm_of(start.image)
    on_boundary = distance <= near * norm
    status = tf.where(on_boundary, int(FlowStatus.ON_BOUNDARY), count + _UNFINISHED)
    status = tf.where(start.slope > 0, status, int(FlowStatus.STATIONARY))
    status = tf.where(start.finite, status, int(FlowStatus.OVERFLOW))
    # By the slope of a saturated score, the boundary seems much too far away.
    guess = tf.where(norm > 0, tf.minimum(distance, norm), distance)
    means = tf.zeros([tf.shape(none)[0], 2, observer.quantities], none.dtype)
    return Paths(
        status=status,
        tries=count,
        steps=count + steps,
        step=guess / steps,
        kinked=no,
        search=~no,
        compared=no,
        end=start.image,
        length=tf.where(on_boundary, distance, none),
        evaluations=count + 1,
        earlier=means,
        errors=means,
        directions=path_directions.nothing(start.image),
    )


def _stride(paths: Paths) -> Stride:
    # An even number, so that steps back and forth across a kink cancel.
    pairs = tf.math.round(tf.sqrt(tf.cast(paths.steps, tf.float32) / 8))
    width = tf.where(paths.kinked, 2 * tf.cast(tf.maximum(pairs, 1), tf.int32), 1)
    return Stride(paths.step, paths.steps, width, ~paths.kinked, paths.search)


def _judged(paths: Paths, passage: Passage, flow: Flow, controlled: tuple[int, int]) -> Paths:
    """Paths after a passage: accepted, given up, or prepared for the next passage."""
    ended = tf.equal(passage.outcome, Outcome.ENDED)
    complete = tf.cast(passage.steps, tf.float32) >= _LEAST * tf.cast(paths.steps, tf.float32)
    measured = ended & (passage.regular | ~paths.search) & complete
    growth = tf.where(paths.kinked, _KINKED_GROWTH, 2.0)
    more = tf.minimum(tf.cast(growth * tf.cast(paths.steps, tf.float32), tf.int32), flow.max_steps)
    last = tf.equal(more, paths.steps)
    errors = tf.abs(passage.means - paths.earlier)
    average, count = controlled
    # A quantity undefined in both passages has no error; one undefined in a single passage has an unknown
    # error.
    undefined = tf.math.is_nan(passage.means) & tf.math.is_nan(paths.earlier)
    error = tf.where(undefined, tf.zeros_like(errors), errors)[:, average, :count]
    error = tf.where(tf.math.is_nan(error), tf.constant(float("inf"), error.dtype), error)
    # Passages of few steps may agree by chance.
    trust = tf.minimum(tf.cast(paths.steps, error.dtype) / TRUSTED_STEPS, 1) ** 2
    enough = flow.tolerance * tf.where(paths.kinked | last, tf.ones_like(trust), trust)
    accepted = measured & paths.compared & (tf.reduce_max(error, axis=1) <= enough)

    # Where directions jump, halving the step does not help; many short steps do.
    jumps = measured & paths.compared & ~accepted & ~passage.smooth
    to_kinks = ~paths.kinked & (
        tf.equal(passage.outcome, Outcome.KINKED)
        | tf.equal(passage.outcome, Outcome.STUCK)
        | (tf.equal(passage.outcome, Outcome.LOST) & ~paths.search)
        | jumps
    )
    repeat = ended & ~measured
    longer = paths.kinked & ~last & tf.equal(passage.outcome, Outcome.LOST)
    finer = measured & ~accepted & ~to_kinks & ~last
    continues = (to_kinks | repeat | longer | finer) & (paths.tries < _TRIES)

    kinked_steps = tf.minimum(tf.maximum(paths.steps, KINKED_STEPS), flow.max_steps // 2)
    steps = tf.where(to_kinks, kinked_steps, tf.where(longer | finer, more, paths.steps))
    length = tf.where(
        ended | tf.equal(passage.outcome, Outcome.KINKED),
        passage.length,
        paths.step * tf.cast(paths.steps, paths.step.dtype),
    )
    step = tf.where(longer, paths.step, length / tf.cast(steps, paths.step.dtype))
    status = tf.where(accepted, int(FlowStatus.REACHED), _given_up(passage))
    return Paths(
        status=tf.where(continues, _UNFINISHED, status),
        tries=paths.tries + 1,
        steps=steps,
        step=step,
        kinked=paths.kinked | to_kinks,
        search=tf.zeros_like(paths.search),
        compared=finer,
        end=passage.end,
        length=passage.chord_length,
        evaluations=paths.evaluations + passage.evaluations,
        earlier=passage.means,
        errors=errors,
        directions=passage.directions,
    )


def _given_up(passage: Passage) -> tf.Tensor:
    """The status of a path for which no further passage is made."""
    status = tf.zeros_like(passage.outcome) + int(FlowStatus.NOT_REACHED)
    for outcome, path_status in (
        (Outcome.ENDED, FlowStatus.NOT_CONVERGED),
        (Outcome.STUCK, FlowStatus.STATIONARY),
        (Outcome.STATIONARY, FlowStatus.STATIONARY),
        (Outcome.OVERFLOW, FlowStatus.OVERFLOW),
    ):
        status = tf.where(tf.equal(passage.outcome, outcome), int(path_status), status)
    return status


def _updated(old: tf.Tensor, rows: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """The old values with some rows replaced; TensorFlow cannot update rows that hold no elements."""
    return old if 0 in old.shape[1:] else tf.tensor_scatter_nd_update(old, rows, new)
