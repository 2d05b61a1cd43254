"""The states of a passage along paths: its start, its stride, its result; and the paths between passages."""

import enum
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# Function of (image, *context) to z (B,) and ∇z (B, H, W, C) on the support.
Score = Callable[..., tuple[tf.Tensor, tf.Tensor]]


class Outcome(enum.IntEnum):
    """How a passage ended. KINKED: aborted because short steps are needed. LOST: too many steps."""

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
        direction: (B, H, W, C), σ∇z/‖∇z‖; the path goes the opposite way.
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
        steps: (B,) int32, intended number of steps.
        width: (B,) int32, steps per chord, see `Chords`.
        even: (B,) bool, whether each step is an equal part of the remaining distance, as the slopes predict
            it, so that the last one ends on the boundary, and the passage is aborted where kinks are sharp;
            otherwise all steps have the length `step`.
        search: (B,) bool, whether the length of the path is still unknown.
    """

    step: tf.Tensor
    steps: tf.Tensor
    width: tf.Tensor
    even: tf.Tensor
    search: tf.Tensor


class Passage(NamedTuple):
    """The result of a passage.

    Attributes:
        end: (B, H, W, C), the last node.
        outcome: (B,) int32 of `Outcome`.
        length: (B,), of all steps; where it was aborted, plus the remaining distance that the slope predicts.
        steps: (B,) int32, number of steps taken.
        regular: (B,) bool, whether the steps had about the same length.
        evaluations: (B,) int32, of the gradient.
        smooth: (B,) bool, whether directions turn evenly from step to step.
        means: (B, 2, n), over arc length and over the score, by chords of `width` steps.
        chord_length: (B,), total length of these chords.
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
    """The state of each path between two passages, and how the next one is made.

    Attributes:
        status: (B,) int32 of `FlowStatus`, or the code of a path that is not finished.
        tries: (B,) int32, passages so far.
        steps: (B,) int32, of the next passage.
        step: (B,), length of its steps.
        kinked: (B,) bool, whether the score has kinks on the path.
        search: (B,) bool, whether the length of the path is still unknown.
        compared: (B,) bool, whether the previous passage had longer steps of the same kind.
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
