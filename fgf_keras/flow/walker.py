"""The state of all paths of a passage between two evaluations."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from fgf_keras.flow.chords import Chords


class Walker(NamedTuple):
    """The state of all paths between two evaluations.

    Attributes:
        image: (B, H, W, C), the nodes.
        score: (B,), at the node.
        direction: (B, H, W, C), of the previous step.
        bend: (B, H, W, C), the difference of that direction from the one before it.
        slope: (B,), at the last place of evaluation.
        gap: (B,), distance from there to the node.
        step: (B,), length of a step.
        shortest: (B,), length of the shortest step so far.
        longest: (B,), length of the longest step so far.
        length: (B,), of all steps.
        count: (B,) int32, number of steps.
        ending: (B,) bool, whether the node is presumably the end.
        corner: (B,) bool, whether the path turns at the node.
        straight: (B,) int32, steps since the last sharp turn.
        outcome: (B,) int32 of `Outcome`.
        evaluations: (B,) int32, of the gradient.
        turn: (B,), sum of the squared differences of directions.
        jerk: (B,), sum of their squared second differences.
        promised: (B,), Σ slope·length since the last check of progress.
        seen: (B,), the score at that check.
        chords: see `Chords`.
        fields: (B, k, H, W, C), see `PathDirections`.
    """

    image: tf.Tensor
    score: tf.Tensor
    direction: tf.Tensor
    bend: tf.Tensor
    slope: tf.Tensor
    gap: tf.Tensor
    step: tf.Tensor
    shortest: tf.Tensor
    longest: tf.Tensor
    length: tf.Tensor
    count: tf.Tensor
    ending: tf.Tensor
    corner: tf.Tensor
    straight: tf.Tensor
    outcome: tf.Tensor
    evaluations: tf.Tensor
    turn: tf.Tensor
    jerk: tf.Tensor
    promised: tf.Tensor
    seen: tf.Tensor
    chords: Chords
    fields: tf.Tensor

    def flat(self) -> tuple[tf.Tensor, ...]:
        """The state as the variables of a `tf.while_loop`."""
        return tuple(tf.nest.flatten(self))

    @classmethod
    def restored(cls, state: Sequence[tf.Tensor]) -> "Walker":
        """The state from the variables of a `tf.while_loop`."""
        first, count = cls._fields.index("chords"), len(Chords._fields)
        fields = [*state[:first], Chords(*state[first : first + count]), *state[first + count :]]
        return cls(**dict(zip(cls._fields, fields)))
