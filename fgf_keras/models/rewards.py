"""Rewards for alignment, which are subtracted from the task loss: one class per kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import tensorflow as tf

from fgf_keras.config.named import REWARDS, named_class
from fgf_keras.config.reward import TARGETS
from fgf_keras.errors import FeatureError, ModelError
from fgf_keras.geometry.alignment import Products, differentiable_alignment
from fgf_keras.geometry.cosines import differentiable_cosines


class Alignment(NamedTuple):
    """The alignment of a batch with m features, differentiable in the section's gradients.

    Attributes:
        products: inner products on the support of the reward.
        pointwise: S_i, (B, m).
        joint: S_joint, (B,).
        epsilon: see `AlignmentModel`.
    """

    products: Products
    pointwise: tf.Tensor
    joint: tf.Tensor
    epsilon: float

    @classmethod
    def of(cls, products: Products, epsilon: float) -> "Alignment":
        """From inner products."""
        return cls(products, *differentiable_alignment(products, epsilon), epsilon)

    def with_features(self, positions: list[int]) -> "Alignment":
        """The alignment with some of the features alone."""
        if positions == list(range(self.products.cross.shape[-1])):
            return self
        section, cross, features = self.products
        features = tf.gather(tf.gather(features, positions, axis=1), positions, axis=2)
        return self.of(Products(section, tf.gather(cross, positions, axis=2), features), self.epsilon)

    def cosines(self, weights: tf.Tensor) -> tf.Tensor:
        """cos(∇z, Σ_i w_ij ∇g_i), (B, k) from weights (m, k), see `differentiable_cosines`."""
        return differentiable_cosines(self.products, weights, self.epsilon)


class Reward(ABC):
    """A reward for alignment, subtracted from the task loss.

    Features to penalise are not part of the reward itself: λ_i S_i of each is subtracted from it, whatever
    its kind, because "not this feature" has no sign.

    Args:
        weight: λ, a number for all features, or a dictionary from feature name to λ_i (0 for others).
        names: of the features that the reward is on.
        targets: what each feature is to be, by its name: "reward" (the default), "ignore" or "penalise".
        direction: how the label changes with each feature, by its name, see `SignedReward`, `DistilReward`.

    Raises:
        FeatureError: a weight, target or direction for a feature that is not among `names`.
        ModelError: a weight that is negative or not finite, an unknown target, or all features ignored.

    Attributes:
        kind: its name in a configuration.
        direction_from: what `train.py` takes `direction` from, see `training.direction`; empty if the reward
            needs none.
        takes_one_weight: whether all rewarded features share one λ.
        points: points of the path that it is averaged over, see `FlowReward`.
        weights: λ_i of each feature, 0 for those that are ignored.
        rewarded, penalised: positions of the features.
        direction: of the rewarded features; empty if there is none.
    """

    kind: ClassVar[str]
    direction_from: ClassVar[Literal["", "correlation", "regression"]] = ""
    takes_one_weight: ClassVar[bool] = False
    points: ClassVar[int] = 1

    def __init__(
        self,
        weight: float | dict[str, float],
        names: list[str],
        *,
        targets: Mapping[str, str] | None = None,
        direction: Mapping[str, float] | None = None,
    ) -> None:
        aims = _targets(dict(targets or {}), names)
        weights = _weights(weight, names)
        self.weights = [0.0 if aim == "ignore" else value for aim, value in zip(aims, weights)]
        self.rewarded = [i for i, aim in enumerate(aims) if aim == "reward"]
        self.penalised = [i for i, aim in enumerate(aims) if aim == "penalise"]
        if self.takes_one_weight and len({self.weights[i] for i in self.rewarded}) > 1:
            raise ModelError(
                f"The {self.kind} reward takes one number as the reward_weight of all rewarded features. "
                f"Received: reward_weight={weight!r}."
            )
        self.direction: list[float] = []
        if self.direction_from:
            self.direction = _direction(direction, names, [names[i] for i in self.rewarded], self.kind)

    @property
    def is_active(self) -> bool:
        """Whether any weight is above 0."""
        return any(self.weights)

    def __call__(self, alignment: Alignment, scale: tf.Tensor) -> tf.Tensor:
        """The reward of a batch less its penalties, a scalar.

        Args:
            alignment: with all features.
            scale: factor on λ, set by a warm-up.
        """
        weights = tf.constant(self.weights, alignment.joint.dtype) * tf.cast(scale, alignment.joint.dtype)
        total = tf.zeros([], weights.dtype)
        if self.rewarded:
            whole = len(self.rewarded) == len(self.weights)
            chosen = weights if whole else tf.gather(weights, self.rewarded)
            total = self.value(alignment.with_features(self.rewarded), chosen)
        if self.penalised:
            means = tf.reduce_mean(tf.gather(alignment.pointwise, self.penalised, axis=1), axis=0)
            total -= tf.reduce_sum(tf.gather(weights, self.penalised) * means)
        return total

    @abstractmethod
    def value(self, alignment: Alignment, weights: tf.Tensor) -> tf.Tensor:
        """The reward of a batch, a scalar.

        Args:
            alignment: with the rewarded features.
            weights: λ_i of each of them, (m,).
        """


class SumReward(Reward):
    """Σ_i λ_i S_i, the reward of the paper: each feature separately."""

    kind = "sum"

    def value(self, alignment: Alignment, weights: tf.Tensor) -> tf.Tensor:
        """See `Reward.value`."""
        return tf.reduce_sum(weights * tf.reduce_mean(alignment.pointwise, axis=0))


class FlowReward(SumReward):
    """Σ_i λ_i S_i averaged over the first points of the path to the decision boundary.

    The points are those at which the score has fallen to 1, 3/4 and 1/2 of its value, by steps of the first
    order. They are constants: the weights are changed so that S is larger there, not so that the path goes
    elsewhere.
    """

    kind = "flow"
    points = 3


class JointReward(Reward):
    """λ S_joint: all features together, no matter which of them explain the score."""

    kind = "joint"
    takes_one_weight = True

    def value(self, alignment: Alignment, weights: tf.Tensor) -> tf.Tensor:
        """See `Reward.value`."""
        return weights[0] * tf.reduce_mean(alignment.joint)


class SignedReward(Reward):
    """Σ_i λ_i s_i cos(∇z, ∇g_i), with s_i = ±1 the sign of `direction`: it knows which way is up.

    A squared cosine is as large where the score falls with a feature that it should rise with, and its
    gradient vanishes there; this one leads back. s_i is the sign of the correlation of the feature with the
    label on the training patients unless it is given; a feature of sign 0 is not rewarded.
    """

    kind = "signed"
    direction_from = "correlation"

    def value(self, alignment: Alignment, weights: tf.Tensor) -> tf.Tensor:
        """See `Reward.value`."""
        signs = tf.linalg.diag(tf.sign(tf.constant(self.direction, weights.dtype)))
        return tf.reduce_sum(weights * tf.reduce_mean(alignment.cosines(signs), axis=0))


class DistilReward(Reward):
    """λ cos(∇z, ∇t) with t = Σ_i w_i g_i a readable model, w = `direction`: react as that model does.

    w_i is the change of the model's score per unit of the feature: by default that of the class-weighted
    logistic regression on the feature values of the training patients.
    """

    kind = "distil"
    direction_from = "regression"
    takes_one_weight = True

    def value(self, alignment: Alignment, weights: tf.Tensor) -> tf.Tensor:
        """See `Reward.value`."""
        slopes = tf.constant(self.direction, weights.dtype)[:, tf.newaxis]
        return weights[0] * tf.reduce_mean(alignment.cosines(slopes))


class NoReward(SumReward):
    """No reward: S is measured, but the model trains without it."""

    kind = "none"

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.weights = [0.0] * len(self.weights)


def reward_of(
    kind: str,
    weight: float | dict[str, float],
    names: list[str],
    *,
    targets: Mapping[str, str] | None = None,
    direction: Mapping[str, float] | None = None,
) -> Reward:
    """The reward of a given kind.

    Args:
        kind: one of `config.named.REWARDS`, or `module:Name` of a subclass of `Reward`.
        weight, names, targets, direction: see `Reward`.

    Raises:
        ModelError: the kind is neither of these.
        FeatureError, ModelError: see `Reward`.
    """
    return reward_class(kind)(weight, names, targets=targets, direction=direction)


def reward_class(kind: str) -> type[Reward]:
    """The class of a kind of reward, see `reward_of`."""
    try:
        return named_class(REWARDS, kind, Reward)
    except ValueError as error:
        raise ModelError(f"reward: {error}.") from error


def _weights(weight: float | dict[str, float], names: list[str]) -> list[float]:
    if isinstance(weight, dict):
        _refuse_unknown(weight, names, "reward_weight")
        values = [float(weight.get(name, 0.0)) for name in names]
    else:
        values = [float(weight)] * len(names)
    if any(not 0 <= value < float("inf") for value in values):
        raise ModelError(f"reward_weight must be finite and >= 0. Received: reward_weight={weight!r}.")
    return values


def _targets(targets: dict[str, str], names: list[str]) -> list[str]:
    _refuse_unknown(targets, names, "reward_targets")
    for name, target in targets.items():
        if target not in TARGETS:
            raise ModelError(
                f"reward_targets[{name!r}] must be one of {', '.join(TARGETS)}. Received: {target!r}."
            )
    aims = [targets.get(name, "reward") for name in names]
    if set(aims) == {"ignore"}:
        raise ModelError("reward_targets ignores every feature. Use reward='none' to train without a reward.")
    return aims


def _direction(
    direction: Mapping[str, float] | None, names: list[str], rewarded: list[str], kind: str
) -> list[float]:
    """The direction of each rewarded feature, in their order."""
    _refuse_unknown(direction or {}, names, "reward_direction")
    missing = [name for name in rewarded if name not in (direction or {})]
    if missing:
        raise ModelError(
            f"The reward {kind!r} needs reward_direction, how the label changes with each feature. Missing: "
            f"{', '.join(missing)}. training.direction.label_direction computes it from training samples; or "
            "give reward_targets={name: 'ignore'}."
        )
    values = [float((direction or {})[name]) for name in rewarded]
    if any(abs(value) == float("inf") or value != value for value in values) or (values and not any(values)):
        raise ModelError(
            f"reward_direction must be finite, and not 0 for all features. Received: {dict(direction or {})}."
        )
    return values


def _refuse_unknown(values: Mapping[str, object], names: list[str], what: str) -> None:
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise FeatureError(f"{what} names {', '.join(unknown)}, but the features are {', '.join(names)}.")
