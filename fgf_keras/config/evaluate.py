"""The group `evaluate`: how a model is measured (supports, nulls, gradient flow, intervals)."""

from functools import partial
from typing import Annotated, Literal, Self

import pydantic
from pydantic import AfterValidator, Field

from fgf_keras.config.base import Fraction, Group, Positive, no_duplicates
from fgf_keras.config.named import NULLS, STEPS, check_name
from fgf_keras.config.reward import Support


class FlowConfig(Group):
    """How the path to the decision boundary is followed."""

    step: Annotated[str, AfterValidator(partial(check_name, STEPS))] = "midpoint"
    steps: Positive = 4
    max_steps: Positive = 128
    tolerance: Annotated[float, Field(gt=0)] = 5e-3
    weight: Literal["arc", "score"] = "arc"
    range: Literal["free", "bounded"] = "free"

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.max_steps < 2 * self.steps:
            raise ValueError(
                f"max_steps: must be at least twice steps ({self.steps}), because the error of F is the "
                f"difference of two passages; got {self.max_steps}"
            )
        return self


class EvaluateConfig(Group):
    """What is measured on the trained model."""

    support: Annotated[list[Support], Field(min_length=1)] = ["mask", "image"]
    training_patients: bool = True
    nulls: list[Annotated[str, AfterValidator(partial(check_name, NULLS))]] = ["white", "smooth"]
    null_draws: Positive = 100
    correlation_lengths: Annotated[
        list[Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(min_length=1)
    ] = [3.0]
    alpha: Fraction = 0.05
    noise_draws: Annotated[int, Field(ge=0)] = 4
    flow: FlowConfig = FlowConfig()
    behaviour: bool = True
    controls: bool = True
    collapse: bool = True
    collapse_draws: Annotated[int, Field(ge=0)] = 20
    permutations: Positive = 1
    bars: bool = True
    threshold: Literal["validation", "validation_and_training", "prior"] = "validation"
    bootstrap: Annotated[int, Field(ge=100)] = 1000
    confidence: Fraction = 0.95
    batch_size: Positive = 16
    pictures: Annotated[int, Field(ge=0)] = 8

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        no_duplicates("nulls", self.nulls)
        no_duplicates("correlation_lengths", [f"{length:g}" for length in self.correlation_lengths])
        return self
