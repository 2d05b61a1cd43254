"""Rewards for alignment, which are subtracted from the task loss: one class per kind."""

from abc import ABC, abstractmethod
from typing import ClassVar

import tensorflow as tf

from fgf_keras.config.named import REWARDS, named_class
from fgf_keras.errors import FeatureError, ModelError


class Reward(ABC):
    """A reward for alignment, subtracted from the task loss.

    Args:
        weight: λ, a number for all features, or a dictionary from feature name to λ_i (0 for others).
        names: of the features that the reward is on.

    Raises:
        FeatureError: a weight for a feature that is not among `names`.
        ModelError: a weight that is negative or not finite.

    Attributes:
        kind: its name in a configuration.
        weights: λ_i of each feature.
    """

    kind: ClassVar[str]

    def __init__(self, weight: float | dict[str, float], names: list[str]) -> None:
        self.weights = _weights(weight, names)

    @property
    def is_active(self) -> bool:
        """Whether any weight is above 0."""
        return any(self.weights)

    @abstractmethod
    def __call__(self, pointwise: tf.Tensor, joint: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """The reward of a batch, a scalar.

        Args:
            pointwise: S_i, (B, m).
            joint: S_joint, (B,).
            scale: factor on λ, set by a warm-up.
        """

    def _scaled(self, values: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        return tf.constant(self.weights, values.dtype) * tf.cast(scale, values.dtype)


class SumReward(Reward):
    """Σ_i λ_i S_i, the reward of the paper: each feature separately."""

    kind = "sum"

    def __call__(self, pointwise: tf.Tensor, joint: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """See `Reward.__call__`."""
        return tf.reduce_sum(self._scaled(pointwise, scale) * tf.reduce_mean(pointwise, axis=0))


class JointReward(Reward):
    """λ S_joint: all features together, no matter which of them explain the score."""

    kind = "joint"

    def __init__(self, weight: float | dict[str, float], names: list[str]) -> None:
        if isinstance(weight, dict):
            raise ModelError("The joint reward takes one number as reward_weight. Received a dictionary.")
        super().__init__(weight, names)

    def __call__(self, pointwise: tf.Tensor, joint: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """See `Reward.__call__`."""
        return self._scaled(joint, scale)[0] * tf.reduce_mean(joint)


class NoReward(SumReward):
    """No reward: S is measured, but the model trains without it."""

    kind = "none"

    def __init__(self, weight: float | dict[str, float], names: list[str]) -> None:
        super().__init__(weight, names)
        self.weights = [0.0] * len(names)


def reward_of(kind: str, weight: float | dict[str, float], names: list[str]) -> Reward:
    """The reward of a given kind.

    Args:
        kind: one of `config.named.REWARDS`, or `module:Name` of a subclass of `Reward`.
        weight, names: see `Reward`.

    Raises:
        ModelError: the kind is neither of these.
        FeatureError, ModelError: see `Reward`.
    """
    try:
        reward = named_class(REWARDS, kind, Reward)
    except ValueError as error:
        raise ModelError(f"reward: {error}.") from error
    return reward(weight, names)


def _weights(weight: float | dict[str, float], names: list[str]) -> list[float]:
    if isinstance(weight, dict):
        unknown = sorted(set(weight) - set(names))
        if unknown:
            raise FeatureError(
                f"reward_weight names {', '.join(unknown)}, but the features are {', '.join(names)}."
            )
        values = [float(weight.get(name, 0.0)) for name in names]
    else:
        values = [float(weight)] * len(names)
    if any(not 0 <= value < float("inf") for value in values):
        raise ModelError(f"reward_weight must be finite and >= 0. Received: reward_weight={weight!r}.")
    return values
