"""What a path does at a kink of the score: it passes through the kink or slides along it.

At a kink (ReLU, max pooling, abs) the gradient jumps. Where the gradient behind the kink leads away from it,
the path passes through and turns there. Where the gradients of both sides lead back to the kink, the path
slides along it, in the direction of the shortest convex combination of the two gradients (Filippov): the
limit of the paths of smooth scores.
"""

from typing import NamedTuple

import tensorflow as tf

from fgf_keras.flow.chords import where_set
from fgf_keras.flow.walker import Walker
from fgf_keras.geometry.products import inner, per_sample

# A turn of more than this (rad²) at a kink is a corner where the path passes through the kink or begins to
# slide along it: a step and a chord end there, and new ones begin.
_CORNER = 0.1


class Turn(NamedTuple):
    """Where paths turn near their nodes, and how they continue from there.

    Attributes:
        sharp: (B,) bool, whether the direction has turned by more than `_CORNER`.
        corner: (B,) bool, whether the path turns at a kink, to pass through it or to begin to slide along it.
        past: (B,) bool, whether that kink lies beyond the boundary.
        slides: (B,) bool, whether the path slides along a kink near its end.
        at: (B,), distance of the turn beyond the node, along the previous step.
        score: (B,), the score at the turn.
        direction, slope: of the path behind the turn.
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
    here: tf.Tensor,
    cosine: tf.Tensor,
    direction: tf.Tensor,
    slope: tf.Tensor,
    ahead: tf.Tensor,
    sigma: tf.Tensor,
    counts: tf.Tensor,
    width: tf.Tensor,
) -> Turn:
    """The turn of each path at its node, by the gradient at the next place of evaluation.

    Args:
        w: the paths before the evaluation.
        here: (B,), the score at the node, by the tangent at the place of evaluation.
        cosine: (B,), of the angle between the directions there and of the previous step.
        direction, slope: of the gradient there.
        ahead: (B,), distance of that place beyond the node, along the direction of the previous step.
        sigma: (B,), sign of the score at the start.
        counts: (B,) bool, where a kink matters.
        width: (B,) int32, steps per chord.
    """
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
    """Whether the path passes through a kink near the node, and how far beyond the node it is, (B,) each.

    The tangents of the score at the places of evaluation before and behind the kink meet at the kink. Where
    the gradient behind leads back, the path does not pass through the kink but slides along it.
    """
    before, behind = w.slope, slope * cosine
    change = behind - before
    through = change * (slope - before * cosine) > 0
    place = tf.math.divide_no_nan(sigma * (here - w.score), change)
    return through, tf.clip_by_value(place, -w.gap, ahead)


def _along_kink(
    w: Walker, direction: tf.Tensor, slope: tf.Tensor, cosine: tf.Tensor, slides: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Direction and slope of sliding paths: those of the shortest combination of the two gradients."""
    # a + p(b - a) at p = ⟨a, a - b⟩/‖a - b‖², with a the gradient behind the kink and b the one before it.
    distance = slope**2 + w.slope**2 - 2 * slope * w.slope * cosine
    part = tf.clip_by_value(tf.math.divide_no_nan(slope * (slope - w.slope * cosine), distance), 0, 1)
    part = tf.where(slides, part, tf.zeros_like(part))
    along = per_sample((1 - part) * slope, direction) * direction
    along += per_sample(part * w.slope, direction) * w.direction
    size = tf.sqrt(inner(along, along))
    unit = tf.math.divide_no_nan(along, per_sample(size, along))
    return where_set(slides, unit, direction), tf.where(slides, size, slope)
