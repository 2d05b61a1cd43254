"""The groups `protocol` and `sweep`: what is compared and repeated."""

from typing import Annotated, Any, Self

import numpy as np
import pydantic
from pydantic import AfterValidator, BeforeValidator, Field

from fgf_keras.config.base import Group, Name, Positive, no_duplicates
from fgf_keras.config.faults import choices
from fgf_keras.config.named import REWARDS
from fgf_keras.config.reward import NOISE, ONE_WEIGHT, RewardConfig

# Arms that need only a name; the rest of their reward is taken from the group `reward`.
NAMED_ARMS = ("baseline", *(kind for kind in REWARDS if kind != "none"), "placebo")


class ArmConfig(Group):
    """One arm of a comparison; arms share data, splits and seeds and differ in the reward."""

    name: Name
    reward: RewardConfig | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.reward is None and self.name not in NAMED_ARMS:
            raise ValueError(f"{choices(self.name, NAMED_ARMS)}, or give it a reward: {{kind: …}}")
        return self

    @property
    def phantom(self) -> dict[str, float]:
        """The changes of the arm to data.phantom; none if all arms share their patients."""
        return {}

    def resolved(self, reward: RewardConfig) -> "ComparedArm":
        """The arm with its complete reward; `reward` is the group of that name."""
        if self.reward is not None:
            return ComparedArm(name=self.name, reward=self.reward)
        if self.name == "baseline":
            return ComparedArm(name=self.name, reward=reward.off)
        if self.name in (*ONE_WEIGHT, "placebo") and isinstance(reward.weight, dict):
            raise ValueError(
                f"arm {self.name}: reward.weight is one number per feature, which this arm cannot take; "
                "give the arm a reward of its own"
            )
        change: dict[str, Any] = {"kind": self.name}
        if self.name == "placebo":
            kind = "sum" if reward.kind == "none" else reward.kind
            change = {"kind": kind, "features": [NOISE], "targets": {}, "direction": None}
        return ComparedArm(name=self.name, reward=reward.model_copy(update=change))


class ComparedArm(ArmConfig):
    """An arm with a complete reward."""

    reward: RewardConfig


def _arm(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class ProtocolConfig(Group):
    """The arms to train and compare, and the number of splits; by default a single run with `reward`."""

    arms: list[Annotated[ArmConfig, BeforeValidator(_arm)]] = []
    repeats: Positive = 1
    folds: Annotated[int, Field(ge=2)] | None = None
    ablation: bool = False

    @property
    def split_names(self) -> list[str]:
        """The folder name of each split, in order; one empty name if there is only one split."""
        if self.repeats == 1 and self.folds is None:
            return [""]
        digits = len(str(self.repeats - 1))
        repeats = [f"repeat_{r:0{digits}}" for r in range(self.repeats)]
        if self.folds is None:
            return repeats
        digits = len(str(self.folds - 1))
        return [f"{repeat}_fold_{k:0{digits}}" for repeat in repeats for k in range(self.folds)]


def _rewarding(kind: str) -> str:
    if kind == "none" or kind not in REWARDS:
        raise ValueError(choices(kind, [name for name in REWARDS if name != "none"]))
    return kind


Kind = Annotated[str, AfterValidator(_rewarding)]


class SweepConfig(Group):
    """A logarithmic grid of reward weights for each kind of reward, and a baseline without a reward."""

    kinds: Annotated[list[Kind], Field(min_length=1)] = ["sum", "joint"]
    lowest: Annotated[float, Field(gt=1e-6)] = 0.001
    highest: Annotated[float, Field(gt=0, lt=1e6)] = 10.0
    points: Annotated[int, Field(ge=2)] = 5
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.02

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.highest <= self.lowest:
            raise ValueError(f"highest: must be above lowest ({self.lowest:g}), got {self.highest:g}")
        no_duplicates("kinds", self.kinds)
        no_duplicates("points", [f"{weight:g}" for weight in self.weights])
        return self

    @property
    def weights(self) -> list[float]:
        """The grid, rounded to four significant digits."""
        return [float(f"{w:.4g}") for w in np.geomspace(self.lowest, self.highest, self.points)]

    def arms(self, reward: RewardConfig) -> list[ComparedArm]:
        """The baseline, then every weight of every kind; all other settings are those of `reward`."""
        if isinstance(reward.weight, dict):
            raise ValueError("reward.weight: a sweep sets it, so it must be one number, not one per feature")
        arms = [ArmConfig(name="baseline").resolved(reward)]
        for kind in self.kinds:
            for weight in self.weights:
                arm_reward = reward.model_copy(update={"kind": kind, "weight": weight})
                arms.append(ComparedArm(name=f"{kind}_{weight:g}", reward=arm_reward))
        return arms


def resolved_arms(
    protocol: ProtocolConfig,
    sweep: SweepConfig | None,
    reward: RewardConfig,
    measured: list[str],
    name: str,
) -> list[ComparedArm]:
    """Every arm with its complete reward, including those of a sweep or an ablation.

    Without configured arms, one arm called `name` with the group `reward`; none for a single run.
    """
    if sweep is not None:
        if protocol.arms or protocol.ablation:
            raise ValueError("sweep: makes its own arms; leave out protocol.arms and protocol.ablation")
        return sweep.arms(reward)
    arms = [arm.resolved(reward) for arm in protocol.arms]
    if not arms and (protocol.ablation or protocol.split_names != [""]):
        arms = [ComparedArm(name=name, reward=reward)]
    if protocol.ablation:
        arms += _ablation_arms(arms, measured)
    no_duplicates("protocol.arms", [arm.name for arm in arms])
    return arms


def _ablation_arms(arms: list[ComparedArm], measured: list[str]) -> list[ComparedArm]:
    arm = ablated_arm(arms, measured)
    return [
        ComparedArm(name=f"without_{name}", reward=arm.reward.without(name, measured))
        for name in arm.reward.rewarded(measured)
    ]


def ablated_arm(arms: list[ComparedArm], measured: list[str]) -> ComparedArm:
    """The first arm that is rewarded on more than one feature, all of them measured."""
    for arm in arms:
        rewarded = arm.reward.rewarded(measured)
        if arm.reward.kind != "none" and len(rewarded) > 1 and set(rewarded) <= set(measured):
            return arm
    raise ValueError(
        "protocol.ablation: leaves features out of the first arm that is rewarded on several of the features "
        f"({', '.join(measured)}), and there is no such arm"
    )
