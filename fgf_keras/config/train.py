"""The groups `train` and `compute`: how a model is trained, and on which resources."""

from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field

from fgf_keras.config.base import Fraction, Group, Positive

# Fewest draws of the null that is measured during training: with fewer there is no 5 % quantile.
LEAST_DRAWS = 20


class TrainConfig(Group):
    """Optimisation, and what is measured during training."""

    epochs: Positive = 60
    batch_size: Positive = 16
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    imbalance: Literal["class_weights", "balanced_batches", "none"] = "class_weights"
    monitor: str = "val_auc"
    weights: Literal["best", "smoothed", "ema", "swa"] = "best"
    smoothing_epochs: Positive = 5
    ema_momentum: Fraction = 0.99
    average_epochs: Positive = 5
    early_stopping_patience: Annotated[int, Field(ge=0)] = 0
    measure: bool = True
    flow_every: Positive = 15
    flow_patients: Positive = 8
    null_draws: Annotated[int, Field(ge=0)] = 50
    pictures_every: Annotated[int, Field(ge=0)] = 30
    pictures_patients: Positive = 4

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(
                f"momentum: only sgd takes it, and {self.optimizer} has moments of its own; got "
                f"{self.momentum}"
            )
        if self.smoothing_epochs % 2 == 0:
            raise ValueError(
                f"smoothing_epochs: must be odd, so that a window has a middle; got {self.smoothing_epochs}"
            )
        if 0 < self.null_draws < LEAST_DRAWS:
            raise ValueError(
                f"null_draws: must be 0, or at least {LEAST_DRAWS} to have 5 and 95 %, got {self.null_draws}"
            )
        if self.monitor.startswith("val_F_") and 0 < self.early_stopping_patience < self.flow_every:
            raise ValueError(
                f"early_stopping_patience: must be at least flow_every ({self.flow_every}) for "
                f"{self.monitor}, which does not change in between; got {self.early_stopping_patience}"
            )
        return self


class ComputeConfig(Group):
    """Precision, compilation, threads, processes."""

    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    jit_compile: bool | Literal["auto"] = "auto"
    threads: Positive | None = None
    jobs: Positive = 1
    deterministic: bool = True
