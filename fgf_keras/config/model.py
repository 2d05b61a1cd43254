"""The groups `model` and `features`: the network, and the features that it is measured with."""

from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from fgf_keras.config.base import Group, Name, Positive
from fgf_keras.config.faults import choices
from fgf_keras.config.named import FEATURES

Rate = Annotated[float, Field(ge=0, lt=1)]


class ModelConfig(Group):
    """The network and its hyperparameters; `auto` is the paper's for slices, the 3-D one for volumes."""

    network: Literal["auto", "paper_cnn", "volume_cnn"] = "auto"
    filters: Annotated[list[Positive], Field(min_length=1)] = [32, 64, 128]
    kernel_sizes: Annotated[list[Positive], Field(min_length=1)] = [5, 3, 3]
    strides: Annotated[list[Positive], Field(min_length=1)] | None = None
    activation: Literal["elu", "relu", "leaky_relu", "gelu", "silu", "softplus", "tanh"] = "elu"
    pooling: Literal["average", "max"] = "average"
    pool_size: Positive | list[Positive] = 4
    dense: list[Positive] = [256, 128]
    dropout: Rate | list[Rate] = 0.0
    clinical: bool = True
    clinical_dense: list[Positive] = []
    clinical_start: Literal["regression", "zero"] = "regression"
    evaluate: Literal["auto", "dense", "roi"] = "auto"

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.filters) != len(self.kernel_sizes):
            raise ValueError(
                f"kernel_sizes: one size for each of the {len(self.filters)} convolutions in filters, "
                f"got {len(self.kernel_sizes)}"
            )
        for key, what in (("strides", "stride"), ("pool_size", "pool")):
            values = getattr(self, key)
            if isinstance(values, list) and len(values) != len(self.filters):
                raise ValueError(
                    f"{key}: one {what} for each of the {len(self.filters)} convolutions in filters, "
                    f"got {len(values)}"
                )
        if isinstance(self.dropout, list) and len(self.dropout) != len(self.dense) + 1:
            raise ValueError(
                f"dropout: one rate before each of the {len(self.dense)} dense layers and before the logits, "
                f"got {len(self.dropout)}"
            )
        if self.clinical_dense and self.clinical_start == "regression":
            raise ValueError(
                "clinical_start: a regression has no hidden layers; with clinical_dense "
                f"{self.clinical_dense}, set clinical_start to zero"
            )
        return self


class FeatureConfig(Group):
    """A feature by name; `function: module:name` is a TensorFlow function of (image, mask) or a class."""

    name: Name
    function: str | None = None
    seed: int | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.function is None and self.name not in FEATURES:
            raise ValueError(choices(self.name, FEATURES) + ", or give function: 'module:name'")
        if self.function is not None and ":" not in self.function:
            raise ValueError(f"function: must be 'module:name', got {self.function!r}")
        if self.seed is not None and self.name != "noise":
            raise ValueError("seed: only the feature 'noise' takes one")
        return self


def _feature(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value
