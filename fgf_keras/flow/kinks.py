"""Where a path comes upon a kink of the score, and how it goes on: through it, or along it.

At a kink (ReLU, max pooling, abs) the gradient jumps. Where the gradient behind it leads on, the path goes
through and turns there. Where the gradients of both sides lead back to the kink, it slides along it, in the
direction of the shortest vector between the two (Filippov): the limit of the paths of smooth scores.
"""

from typing import NamedTuple

import tensorflow as tf

from fgf_keras.flow.chords import per_sample, where_set
from fgf_keras.flow.walker import Walker
from fgf_keras.geometry.products import inner

# Turns of more than this (rad²) at a kink are corners where the path goes through the kink, or comes upon it
# to slide along it: a step and a chord end there, and the next ones start anew.
_CORNER = 0.1


class Turn(NamedTuple):
    """Where paths turn near their nodes, and how they go on from there.

    Attributes:
        sharp: (B,) bool, whether the direction has turned by more than `_CORNER`.
        corner: (B,) bool, whether the path turns at a kink, to go through it or to begin to slide along it.
        past: (B,) bool, whether that kink is beyond the boundary.
        slides: (B,) bool, whether the path slides along a kink near its end.
        at: (B,), how far beyond the node, along the step before, that is.
        score: (B,), there.
        direction, slope: of the path behind it.
    """

    sharp: tf.Tensor
    corner: tf.Tensor
    past: tf.Tensor
    slides: tf.Tensor
    at: tf.Tensor
    score: tf.Tensor
    direction: tf.Tensor
    slope: tf.Tensor


def turn_at(
    w: Walker,
    z: tf.Tensor,
    direction: tf.Tensor,
    slope: tf.Tensor,
    ahead: tf.Tensor,
    sigma: tf.Tensor,
    counts: tf.Tensor,
    width: tf.Tensor,
) -> Turn:
    """What the gradient at a place of evaluation says of the node before it.

    Args:
        w: the paths before the evaluation.
        z: (B,), score at the place of evaluation.
        direction, slope: of the gradient there.
        ahead: (B,), how far beyond the node that is, along the direction of the step before.
        sigma: (B,), sign of the score at the start.
        counts: (B,) bool, where a kink matters.
        width: (B,) int32, steps of a chord.
    """
    cosine = inner(direction, w.direction)
    here = z + sigma * slope * ahead * cosine
    sharp = counts & (2 - 2 * cosine > _CORNER)
    through, place = _kink(w, here, sigma, slope, cosine, ahead)
    meets = sharp & (through | (w.straight >= width))
    boundary = tf.math.divide_no_nan(sigma * w.score, w.slope)
    past = meets & ~w.ending & (place >= boundary)
    corner, slides = meets & ~past, w.ending & sharp & ~meets
    at = tf.where(corner | slides, place, tf.where(past, boundary, tf.zeros_like(place)))
    here = tf.where(past, tf.zeros_like(here), here - sigma * slope * cosine * at)
    direction, slope = _along_kink(w, direction, slope, cosine, slides)
    return Turn(sharp, corner, past, slides, at, here, direction, slope)


def _kink(
    w: Walker, here: tf.Tensor, sigma: tf.Tensor, slope: tf.Tensor, cosine: tf.Tensor, ahead: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether the path goes through a kink near the node, and how far beyond the node it is, (B,) each.

    The lines of the score from the places of evaluation before and behind it meet at the kink. Where the
    gradient behind it leads back, the path does not go through: it slides along the kink.
    """
    before, behind = w.slope, slope * cosine
    change = behind - before
    through = change * (slope - before * cosine) > 0
    place = tf.math.divide_no_nan(sigma * (here - w.score), change)
    return through, tf.clip_by_value(place, -w.gap, ahead)


def _along_kink(
    w: Walker, direction: tf.Tensor, slope: tf.Tensor, cosine: tf.Tensor, slides: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Direction and slope of paths that slide along a kink: of the shortest vector between both gradients."""
    # Of a + p(b - a), with a behind and b before the kink, at p = ⟨a, a - b⟩/‖a - b‖².
    apart = slope**2 + w.slope**2 - 2 * slope * w.slope * cosine
    part = tf.clip_by_value(tf.math.divide_no_nan(slope * (slope - w.slope * cosine), apart), 0, 1)
    part = tf.where(slides, part, tf.zeros_like(part))
    along = per_sample((1 - part) * slope, direction) * direction
    along += per_sample(part * w.slope, direction) * w.direction
    size = tf.sqrt(inner(along, along))
    unit = tf.math.divide_no_nan(along, per_sample(size, along))
    return where_set(slides, unit, direction), tf.where(slides, size, slope)
