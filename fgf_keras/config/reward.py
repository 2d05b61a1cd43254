"""The group `reward`: what is rewarded or penalised, from when on, and with which safeguards."""

from functools import partial
from typing import Annotated, Any, Literal, Self, get_args

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field

from fgf_keras.config.base import Fraction, Group, no_duplicates
from fgf_keras.config.faults import choices
from fgf_keras.config.named import REWARDS, check_name

Support = Literal["mask", "image"]
Target = Literal["reward", "ignore", "penalise"]
TARGETS = get_args(Target)
# A random feature that can be rewarded without being measured.
NOISE = "noise"
# Kinds that all rewarded features have one weight in.
ONE_WEIGHT = ("joint", "distil")
# Kinds that know in which direction the score should go.
DIRECTED = ("signed", "distil")


def _finite(value: Any) -> Any:
    """No limit may also be written as infinity."""
    return None if value == float("inf") else value


class GuardConfig(Group):
    """When the reward is reduced in training, and by which factor (None: never); see `RewardGuard`."""

    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.1
    factor: Fraction | None = 0.5
    baseline: str | None = None


class RewardConfig(Group):
    """The alignment reward: loss = task - reward, e.g. task - sum_i weight_i S_i."""

    kind: Annotated[str, AfterValidator(partial(check_name, REWARDS))] = "sum"
    weight: float | dict[str, float] = 0.1
    features: Annotated[list[str], Field(min_length=1)] | None = None
    targets: dict[str, Target] = {}
    direction: dict[str, float] | None = None
    direction_per: Literal["unit", "sd"] = "unit"
    max_ratio: Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(_finite)] = None
    project_conflicts: bool = False
    start_epoch: Annotated[int, Field(ge=0)] = 0
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    fine_tune: str | None = None
    compare: bool = False
    guard: GuardConfig = GuardConfig()
    support: Support = "mask"
    gradient: Literal["auto", "exact", "difference"] = "auto"

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        weights = self.weight.values() if isinstance(self.weight, dict) else [self.weight]
        if any(not 0 <= w < float("inf") for w in weights):
            raise ValueError(f"weight: must be finite and >= 0, got {self.weight}")
        if self.direction is not None and not any(self.direction.values()):
            raise ValueError(
                f"direction: must not be 0 for all features, got {self.direction}; null takes it from the "
                "training patients"
            )
        if self.kind in ONE_WEIGHT and isinstance(self.weight, dict):
            rewarded = [w for name, w in self.weight.items() if self._target(name) == "reward"]
            if len({*rewarded}) > 1 or not set(self.targets.values()) - {"reward"}:
                raise ValueError(
                    f"weight: the {self.kind} reward takes one number, not one per feature; only penalised "
                    "features may have others"
                )
        if self.compare and self.fine_tune is not None:
            raise ValueError(
                "compare: true is not possible with fine_tune, because a training without the reward would "
                f"not begin with the network of {self.fine_tune}; set it to false, and compare with that run "
                "or with an arm of weight 0 that is fine-tuned from it"
            )
        no_duplicates("features", self.features or [])
        return self

    def check_features(self, measured: list[str]) -> None:
        """Refuse features, weights, targets and directions that make no sense if these are measured."""
        for name in self.features or ():
            if name not in (*measured, NOISE):
                raise ValueError(f"features: {choices(name, dict.fromkeys([*measured, NOISE]))}")
        named = self.features or measured
        by_key = {"weight": self.weight, "targets": self.targets, "direction": self.direction}
        for key, values in by_key.items():
            for name in values if isinstance(values, dict) else ():
                if name not in named:
                    raise ValueError(f"{key} for {choices(name, named)}")
        if {self._target(name) for name in named} == {"ignore"}:
            raise ValueError("targets: every feature is ignored; use kind: none to train without a reward")
        aims = [name for name in named if self._target(name) == "reward"]
        if self.kind in ONE_WEIGHT and isinstance(self.weight, dict):
            without = [name for name in aims if name not in self.weight]
            if without and len(without) < len(aims):
                raise ValueError(
                    f"weight: the {self.kind} reward has one for all rewarded features; give it for "
                    f"{', '.join(without)}, too, or set their target to ignore"
                )
        missing = [name for name in aims if name not in (self.direction or aims)]
        if missing:
            raise ValueError(f"direction: give one for {', '.join(missing)}, too, or leave all of them out")

    def rewarded(self, measured: list[str]) -> list[str]:
        """The features with a weight above 0 that are rewarded, including `NOISE`; empty without a reward."""
        return self._with_target("reward", measured)

    def penalised(self, measured: list[str]) -> list[str]:
        """The features with a weight above 0 that are penalised."""
        return self._with_target("penalise", measured)

    def is_active(self, measured: list[str]) -> bool:
        """Whether any feature is rewarded or penalised with a weight above 0."""
        return bool(self.rewarded(measured) or self.penalised(measured))

    def without(self, feature: str, measured: list[str]) -> "RewardConfig":
        """The same reward with one feature left out."""
        changes: dict[str, Any] = {
            key: {name: value for name, value in values.items() if name != feature}
            for key in ("weight", "targets", "direction")
            if isinstance(values := getattr(self, key), dict)
        }
        changes["features"] = [name for name in self.features or measured if name != feature]
        return self.model_copy(update=changes)

    @property
    def off(self) -> "RewardConfig":
        """No reward; weights are chosen from the same epochs as with this one."""
        return self.model_copy(
            update={"kind": "none", "targets": {}, "direction": None, "fine_tune": None, "compare": False}
        )

    @property
    def runs(self) -> dict[str, str]:
        """The runs that a training needs, by the key that names them: arms of a comparison, or folders."""
        baseline = None if self.guard.factor is None else self.guard.baseline
        names = {"fine_tune": self.fine_tune, "guard.baseline": baseline}
        return {key: name for key, name in names.items() if name is not None and self.kind != "none"}

    def with_runs(self, folders: dict[str, str]) -> "RewardConfig":
        """The same reward with other names for the runs it needs, by their names so far."""
        changes: dict[str, Any] = {"fine_tune": folders.get(self.fine_tune or "", self.fine_tune)}
        if self.guard.baseline is not None:
            baseline = folders.get(self.guard.baseline, self.guard.baseline)
            changes["guard"] = self.guard.model_copy(update={"baseline": baseline})
        return self.model_copy(update=changes)

    def _target(self, name: str) -> Target:
        return self.targets.get(name, "reward")

    def _with_target(self, target: Target, measured: list[str]) -> list[str]:
        if self.kind == "none":
            return []
        names = [name for name in self.features or measured if self._target(name) == target]
        return [n for n in names if (self.weight.get(n, 0) if isinstance(self.weight, dict) else self.weight)]
