"""The settings of the gradient flow as one value."""

from dataclasses import dataclass
from typing import Any

from fgf_keras.config.evaluate import FlowConfig
from fgf_keras.config.faults import require
from fgf_keras.config.named import STEPS, check_name
from fgf_keras.errors import ConfigError

AVERAGES = ("arc", "score")
RANGES = ("free", "bounded")


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Settings of the path from a sample to the decision boundary, and of the mean along it.

    Args:
        step: how the direction of each step is determined: one of `config.named.STEPS`, or `module:Name` of a
            subclass of `fgf_keras.flow.step.Step`.
        steps: number of steps of the first passage along a path.
        max_steps: number of steps of the finest passage; passages get finer until F reaches the tolerance.
        tolerance: largest acceptable estimated error of F; a path that does not reach it with `max_steps`
            steps is NOT_CONVERGED, and its F is NaN.
        average: "arc": F is the mean of S over the length of the path; "score": over the change of the score,
            in which case F_joint is the part of that change along the features.
        range: "free": the path may leave the range of the images; "bounded": it stays in [0, 1], where the
            images must lie, and follows the projected gradient, which has no components that would leave it.

    Raises:
        ConfigError: a value out of range.
    """

    step: str = "midpoint"
    steps: int = 4
    max_steps: int = 128
    tolerance: float = 5e-3
    average: str = "arc"
    range: str = "free"

    def __post_init__(self) -> None:
        try:
            check_name(STEPS, self.step)
        except ValueError as error:
            raise ConfigError(f"Flow: step: {error}.") from error
        rules = {
            f"average must be one of {', '.join(AVERAGES)}": (self.average, self.average in AVERAGES),
            f"range must be one of {', '.join(RANGES)}": (self.range, self.range in RANGES),
            "steps must be at least 1": (self.steps, self.steps >= 1),
            # The error is the difference of two passages.
            f"max_steps must be at least twice steps ({self.steps})": (
                self.max_steps,
                self.max_steps >= 2 * self.steps,
            ),
            "tolerance must be a number > 0": (self.tolerance, 0 < self.tolerance < float("inf")),
        }
        require(rules, "Flow: ")

    @classmethod
    def wanted(cls, flow: "Flow | bool | None") -> "Flow | None":
        """What `explain` is given as its flow: None for the default settings, False for no path.

        Returns:
            The settings; None for no path.

        Raises:
            ConfigError: something else.
        """
        if flow is None:
            return cls()
        if flow is not False and not isinstance(flow, cls):
            raise ConfigError(f"flow must be a Flow, or False for no path. Received: {flow!r}.")
        return flow or None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as explanations and exports list them, where `average` is called `weight`."""
        return {
            "weight": self.average,
            "steps": self.steps,
            "max_steps": self.max_steps,
            "tolerance": self.tolerance,
            "range": self.range,
        }

    @classmethod
    def of(cls, config: FlowConfig) -> "Flow":
        """From the group `evaluate.flow` of a configuration, where `average` is called `weight`."""
        return cls(
            step=config.step,
            steps=config.steps,
            max_steps=config.max_steps,
            tolerance=config.tolerance,
            average=config.weight,
            range=config.range,
        )
