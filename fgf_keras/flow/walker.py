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
        direction: (B, H, W, C), of the step before.
        bend: (B, H, W, C), its difference from that of the one before.
        slope: (B,), at the last place of evaluation.
        gap: (B,), from there to the node.
        step: (B,), length of a step.
        shortest: (B,), length of the shortest step so far.
        longest: (B,), of the longest.
        length: (B,), of all steps.
        count: (B,) int32, number of steps.
        ending: (B,) bool, whether the node is thought to be the end.
        corner: (B,) bool, whether the path turns at the node.
        straight: (B,) int32, steps since the last sharp turn.
        outcome: (B,) int32 of `Outcome`.
        evaluations: (B,) int32.
        turn: (B,), Σ squared differences of directions.
        jerk: (B,), Σ squared second differences.
        promised: (B,), Σ slope·length since the last look back.
        seen: (B,), the score at the last look back.
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
        """As the variables of a loop."""
        return tuple(tf.nest.flatten(self))

    @classmethod
    def restored(cls, state: Sequence[tf.Tensor]) -> "Walker":
        """From the variables of a loop."""
        first, count = cls._fields.index("chords"), len(Chords._fields)
        fields = [*state[:first], Chords(*state[first : first + count]), *state[first + count :]]
        return cls(**dict(zip(cls._fields, fields)))
