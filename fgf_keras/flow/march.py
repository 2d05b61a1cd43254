"""One passage down the gradient of a score to its zero, in steps of equal length.

The path is the curve x'(s) = -σ ∇z/‖∇z‖ in its arc length s, with σ the sign of the score at the start. A
`Step` determines its direction. The gradient's norm serves only to predict where the boundary is, so that a
score that saturates has the same path as one that does not.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from fgf_keras.flow.box import Box
from fgf_keras.flow.chords import Chords, Observer, observe_chord, where_set
from fgf_keras.flow.directions import PathDirections
from fgf_keras.flow.kinks import turn_at
from fgf_keras.flow.outcomes import ended, looked_back
from fgf_keras.flow.passage import Outcome, Passage, Score, Start, Stride
from fgf_keras.flow.step import Slope, Step
from fgf_keras.flow.walker import Walker
from fgf_keras.geometry.products import inner, norm_of, per_sample

# The last step may be this many times as long as the others, so that none is tiny.
_LAST = 1.25
# Steps are regular when the longest is at most this many times as long as the shortest.
_REGULAR = 1.5
# A path ends on the boundary when its distance from it, by the slope there, is at most this fraction of its
# length; a Newton step then removes the distance.
_AT_END = 3e-3
# A passage may take this many times the intended number of steps plus a few: turns make a path longer.
_PATIENCE, _MORE = 3, 16
# The same factor for a first passage, whose length is a guess: its steps double in length each time that
# twice the intended number has been taken.
_SEARCH = 12


def begin(score: Score, image: tf.Tensor, context: Sequence[tf.Tensor], box: Box | None = None) -> Start:
    """Score and gradient at the images where paths begin; the projected gradient if there is a box."""
    z, gradient = score(image, *context)
    if box is not None:
        gradient = box.ahead(image, gradient, z)
    return Start(image, *Slope.of(z, gradient, z))


def march(
    score: Score,
    start: Start,
    stride: Stride,
    observer: Observer,
    context: Sequence[tf.Tensor],
    *,
    step: Step,
    box: Box | None = None,
    directions: str | None = None,
    rounding: float = 0.0,
    compiled: bool = False,
) -> Passage:
    """Follow each path from its start to the zero of the score.

    Args:
        score: function of (image, *context) to (z (B,), ∇z (B, H, W, C) on the support).
        start: see `begin`; its score is not zero and its slope not 0.
        stride: see `Stride`.
        observer: of the quantities to average.
        context: tensors with a leading batch axis.
        step: how the direction of each step is determined.
        box: which paths do not leave; None for no limits.
        directions: "arc", "score" or None, see `PathDirections`.
        rounding: see `gradient_flow`.
        compiled: in a graph for XLA: all samples are evaluated as long as any path is under way.
    """
    path_directions = PathDirections(directions)
    sigma = tf.sign(start.score)
    walker = _begun(start, stride, observer, path_directions)
    budget = tf.where(stride.search, _SEARCH * stride.steps, _PATIENCE * stride.steps + _MORE)
    budget *= step.evaluations
    unresolved = rounding * norm_of(start.image)

    def seen(
        image: tf.Tensor, direction: tf.Tensor, length: tf.Tensor, sign: tf.Tensor, *context: tf.Tensor
    ) -> tuple[Slope, tf.Tensor]:
        def at(x: tf.Tensor) -> Slope:
            if box is None:
                return Slope.of(*score(x, *context), sign)
            z, gradient = score(box.inside(x), *context)
            # Pixels that come to a limit within the step are free until they do.
            return Slope.of(z, box.ahead(image, gradient, sign), sign)

        return step(at, image, direction, length)

    def under_way(*state: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any(tf.equal(Walker.restored(state).outcome, Outcome.UNDER_WAY))

    def advance(*state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        before = Walker.restored(state)
        before = before if box is None else box.turned(before)
        active = tf.equal(before.outcome, Outcome.UNDER_WAY)
        length = tf.where(before.ending, tf.zeros_like(before.step), before.step)
        nodes = [before.image, before.direction, length, sigma, *context]
        slope, ahead = _on_rows(active, seen, nodes, compiled)
        before = before._replace(
            evaluations=before.evaluations + step.evaluations * tf.cast(active, tf.int32)
        )
        near = tf.maximum(_AT_END * before.length, unresolved)
        after = _stepped(before, slope, ahead, sigma, stride, budget, box, near)
        return _observed(after, active, stride, observer, path_directions, context, compiled).flat()

    final = Walker.restored(tf.while_loop(under_way, advance, walker.flat(), parallel_iterations=1))
    return Passage(
        end=final.image,
        outcome=final.outcome,
        length=final.length,
        steps=final.count,
        regular=final.longest <= _REGULAR * final.shortest,
        evaluations=final.evaluations,
        smooth=final.jerk <= final.turn,
        means=final.chords.means(),
        chord_length=final.chords.length,
        directions=final.fields,
    )


def _begun(start: Start, stride: Stride, observer: Observer, path_directions: PathDirections) -> Walker:
    zero = tf.zeros_like(start.score)
    none = tf.zeros_like(start.score, tf.int32)
    return Walker(
        image=start.image,
        score=start.score,
        direction=start.direction,
        bend=tf.zeros_like(start.image),
        slope=start.slope,
        gap=zero,
        step=stride.step,
        shortest=zero + float("inf"),
        longest=zero,
        length=zero,
        count=none,
        ending=tf.zeros_like(start.score, tf.bool),
        corner=tf.zeros_like(start.score, tf.bool),
        straight=stride.width,
        outcome=none + int(Outcome.UNDER_WAY),
        evaluations=none,
        turn=zero,
        jerk=zero,
        promised=zero,
        seen=start.score,
        chords=Chords.none(start.image, observer.quantities),
        fields=path_directions.nothing(start.image),
    )


def _stepped(
    w: Walker,
    seen: Slope,
    ahead: tf.Tensor,
    sigma: tf.Tensor,
    stride: Stride,
    budget: tf.Tensor,
    box: Box | None,
    near: tf.Tensor,
) -> Walker:
    """All paths after an evaluation `ahead` of the node: one step further, at a turn, or at their ends.

    They end where the boundary is at most `near` (B,) away.
    """
    z, direction, slope, finite = seen
    active = tf.equal(w.outcome, Outcome.UNDER_WAY)
    moving = active & finite & (slope > 0)
    # On the boundary, kinks no longer matter.
    there = w.ending & (tf.abs(z) <= slope * near)
    cosine = inner(direction, w.direction)
    here = z + sigma * slope * ahead * cosine
    if box is not None:
        here -= sigma * slope * box.lost(w.image, per_sample(ahead, w.image) * w.direction, direction)
    turn = turn_at(w, here, cosine, direction, slope, ahead, sigma, moving & ~there, stride.width)
    direction, slope, here = turn.direction, turn.slope, turn.score
    new = moving & ~(w.ending | turn.corner | turn.past)
    left = tf.math.divide_no_nan(sigma * here, slope)
    left = left if box is None else box.distance(w.image, direction, left)
    arrived = w.ending & ~turn.corner & (tf.abs(left) <= near)
    evenly = new & stride.even & (w.count < stride.steps)
    left = tf.where(evenly, _left(w, slope, ahead, left), left)
    parts = tf.cast(tf.maximum(stride.steps - w.count, 1), left.dtype)
    step = tf.where(evenly, tf.clip_by_value(left / parts, w.step / 4, 2 * w.step), w.step)
    most = step if box is None else tf.minimum(step, box.corner(w.image, direction))
    last = (left <= _LAST * step) & ((left <= most) | tf.equal(most, step))
    length = tf.where(w.ending | last, tf.clip_by_value(left, -step, _LAST * step), most)
    length = tf.where(moving & ~(turn.corner | turn.past), length, tf.zeros_like(length))
    edge = per_sample(length, direction) * direction + per_sample(turn.at, direction) * w.direction
    image = w.image - edge
    progress = length
    if box is not None:
        progress = length - box.lost(w.image, edge, direction)
        image = box.inside(image)
        edge = w.image - image
    after = tf.where(arrived, tf.zeros_like(here), here - sigma * slope * progress)
    drop = tf.where(moving, sigma * (w.score - after), tf.zeros_like(here))
    bend = direction - w.direction
    jerk = inner(bend - w.bend, bend - w.bend)
    ending = tf.where(w.ending, tf.abs(left) <= _LAST * step, last)
    whole = ~(last & ~stride.even) & tf.equal(most, step)
    w = w._replace(
        image=image,
        score=tf.where(moving, after, w.score),
        direction=where_set(new | turn.corner | turn.slides, direction, w.direction),
        bend=where_set(new, bend, w.bend),
        slope=tf.where(moving & ~turn.past, slope, w.slope),
        gap=length - ahead,
        step=step,
        shortest=tf.where(new & whole, tf.minimum(w.shortest, length), w.shortest),
        longest=tf.where(new, tf.maximum(w.longest, length), w.longest),
        length=w.length + progress + turn.at,
        count=w.count + tf.cast(new, tf.int32),
        ending=turn.past | (~turn.corner & ending),
        corner=turn.corner,
        straight=tf.where(turn.sharp, 0, w.straight + tf.cast(new, tf.int32)),
        turn=w.turn + tf.where(new, inner(bend, bend), tf.zeros_like(jerk)),
        jerk=w.jerk + tf.where(new & (w.count > 0), jerk, tf.zeros_like(jerk)),
        promised=w.promised + slope * progress,
        chords=w.chords.extended(edge, drop, new),
    )
    w = ended(w, moving, finite, slope, arrived, left, stride, budget)
    return looked_back(w, new, sigma, stride)


def _left(w: Walker, slope: tf.Tensor, ahead: tf.Tensor, straight: tf.Tensor) -> tf.Tensor:
    """The remaining distance to the boundary, (B,), by the slope and its change.

    Solves straight = (1 - change·ahead)·s + ½ change·s² for s near the `straight` guess, which assumes no
    change; `change` is that of the slope between two places of evaluation, relative to the slope, per length.
    """
    change = tf.math.divide_no_nan(slope - w.slope, slope * (w.gap + ahead))
    at_node = 1 - change * ahead
    root = tf.sqrt(tf.maximum(at_node**2 + 2 * change * straight, 0))
    curved = tf.math.divide_no_nan(2 * straight, at_node + root)
    sound = (at_node > 0) & (curved > straight / 2) & (curved < 2 * straight)
    return tf.where(sound, curved, straight)


def _observed(
    w: Walker,
    active: tf.Tensor,
    stride: Stride,
    observer: Observer,
    path_directions: PathDirections,
    context: Sequence[tf.Tensor],
    compiled: bool,
) -> Walker:
    """The paths after observing the chords that are due, of those that were under way."""
    ends = active & (tf.equal(w.outcome, Outcome.ENDED) | w.corner)
    due = active & w.chords.due(stride.width, ends)
    chord, drop = w.chords.chord(ends)
    length = tf.sqrt(inner(chord, chord))
    unit = tf.math.divide_no_nan(chord, per_sample(length, chord))
    rest = per_sample(tf.cast(~ends, chord.dtype), chord)
    end = w.image + rest * w.chords.open

    def observed(end: tf.Tensor, chord: tf.Tensor, unit: tf.Tensor, *context: tf.Tensor) -> tf.Tensor:
        return observe_chord(observer, end, chord, unit, context, compiled=compiled)

    means = tf.cond(
        tf.reduce_any(due),
        lambda: _on_rows(due, observed, [end, chord, unit, *context], compiled),
        lambda: tf.zeros_like(w.chords.arc_sum),
    )
    weight = tf.cast(due, length.dtype)
    return w._replace(
        chords=w.chords.observed(due, ends, means, length, drop, stride.width),
        fields=path_directions.plus_chord(w.fields, unit, weight * length, weight * drop),
    )


def _on_rows(
    mask: tf.Tensor, function: Callable[..., Any], tensors: Sequence[tf.Tensor], compiled: bool
) -> Any:
    """The results of a function of tensors for some samples, zeros for the others."""
    if compiled:
        return function(*tensors)
    rows = tf.where(mask)
    results = function(*(tf.gather(tensor, rows[:, 0]) for tensor in tensors))

    def spread(result: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([tf.shape(mask), tf.shape(result)[1:]], axis=0)
        whole = tf.scatter_nd(rows, result, tf.cast(shape, rows.dtype))
        return tf.ensure_shape(whole, [mask.shape[0], *result.shape[1:]])

    return tf.nest.map_structure(spread, results)
