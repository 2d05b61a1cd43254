"""A passage along paths: what it begins with, how it is made, its result; and the paths between passages."""

import enum
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# Of (image, *context) to z (B,) and ∇z (B, H, W, C) on the support.
Score = Callable[..., tuple[tf.Tensor, tf.Tensor]]


class Outcome(enum.IntEnum):
    """How a passage ended. KINKED: broken off, because short steps are needed. LOST: too many steps."""

    UNDER_WAY = 0
    ENDED = 1
    KINKED = 2
    LOST = 3
    STUCK = 4
    STATIONARY = 5
    OVERFLOW = 6


class Start(NamedTuple):
    """Where paths begin.

    Attributes:
        image: (B, H, W, C).
        score: (B,).
        direction: (B, H, W, C), σ∇z/‖∇z‖; the path goes the other way.
        slope: (B,), ‖∇z‖.
        finite: (B,) bool, whether score and gradient are finite.
    """

    image: tf.Tensor
    score: tf.Tensor
    direction: tf.Tensor
    slope: tf.Tensor
    finite: tf.Tensor


class Stride(NamedTuple):
    """How a passage is made.

    Attributes:
        step: (B,), length of its steps, or a guess of it.
        steps: (B,) int32, how many they should be.
        width: (B,) int32, steps of a chord, see `Chords`.
        even: (B,) bool, whether each step is an even part of what the slopes say is left, so that the last
            one ends on the boundary, and the passage is broken off where kinks are sharp; all steps have the
            length `step` otherwise.
        search: (B,) bool, whether the length of the path is not known yet.
    """

    step: tf.Tensor
    steps: tf.Tensor
    width: tf.Tensor
    even: tf.Tensor
    search: tf.Tensor


class Passage(NamedTuple):
    """What a passage found.

    Attributes:
        end: (B, H, W, C), the last node.
        outcome: (B,) int32 of `Outcome`.
        length: (B,), of all steps; where it was broken off, with what the slope says is left.
        steps: (B,) int32, those taken.
        regular: (B,) bool, whether the steps had about the same length.
        evaluations: (B,) int32.
        smooth: (B,) bool, whether directions turn evenly from step to step.
        means: (B, 2, n), over arc length and over the score, by chords of `width` steps.
        chord_length: (B,), of the path as those chords have it.
        directions: (B, k, H, W, C), of `PathDirections`.
    """

    end: tf.Tensor
    outcome: tf.Tensor
    length: tf.Tensor
    steps: tf.Tensor
    regular: tf.Tensor
    evaluations: tf.Tensor
    smooth: tf.Tensor
    means: tf.Tensor
    chord_length: tf.Tensor
    directions: tf.Tensor


class Paths(NamedTuple):
    """What is known of each path between two passages, and how the next one is made.

    Attributes:
        status: (B,) int32 of `FlowStatus`, or that it has not ended.
        tries: (B,) int32, passages so far.
        steps: (B,) int32, of the next passage.
        step: (B,), length of its steps.
        kinked: (B,) bool, whether the score has kinks on the path.
        search: (B,) bool, whether the length of the path is not known yet.
        compared: (B,) bool, whether the passage before had longer steps of the same kind.
        end: (B, H, W, C), of the last passage.
        length: (B,), of the last passage.
        evaluations: (B,) int32, of the gradient so far.
        earlier: (B, 2, n), means of the last passage.
        errors: (B, 2, n), their estimated errors.
        directions: (B, k, H, W, C), see `PathDirections`.
    """

    status: tf.Tensor
    tries: tf.Tensor
    steps: tf.Tensor
    step: tf.Tensor
    kinked: tf.Tensor
    search: tf.Tensor
    compared: tf.Tensor
    end: tf.Tensor
    length: tf.Tensor
    evaluations: tf.Tensor
    earlier: tf.Tensor
    errors: tf.Tensor
    directions: tf.Tensor
