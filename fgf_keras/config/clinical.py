"""Clinical columns of the table of patients, in the group `data`."""

from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import BeforeValidator, Field

from fgf_keras.config.base import Group, no_duplicates
from fgf_keras.errors import ConfigError

# What a batch of samples, or a table of results, calls something else.
RESERVED = ("image", "mask", "spacing", "origin", "clinical", "label", "joint", "noise", "unexplained")
# What a column of the encoding is called that is 1 where the value is missing.
MISSING_SUFFIX = "_missing"

Text = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
# A rank is one value, or several that count as the same.
Rank = Text | Annotated[list[Text], Field(min_length=1)]


class ClinicalColumn(Group):
    """A column of the table that the classifier, or only what it is compared with, sees beside the image.

    `column` is its header in the table, by default `name`. Values are numbers (`kind: numeric`, the default),
    values in an order that has to be given (`ordinal`), or names (`categorical`).
    """

    name: Annotated[str, Field(min_length=1)]
    column: Annotated[str, Field(min_length=1)] | None = None
    kind: Literal["numeric", "ordinal", "categorical"] | None = None
    order: list[Rank] = []
    log: bool = False
    missing: list[Text] = []
    allow_leak: bool = False

    @property
    def header(self) -> str:
        """The header of the column in the table."""
        return self.name if self.column is None else self.column

    @property
    def scale(self) -> str:
        """The kind, which an order makes ordinal."""
        return self.kind or ("ordinal" if self.order else "numeric")

    @property
    def ranks(self) -> dict[str, int]:
        """The rank of each value of an ordinal column, from 0."""
        return {value: rank for rank, values in enumerate(self.order) for value in _listed(values)}

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.name in RESERVED:
            raise ValueError(
                f"name: {self.name!r} is not free, because results use it for something else; give the "
                f"column another name: {{name: …, column: {self.header}}}"
            )
        if self.name != self.name.strip() or "=" in self.name:
            raise ValueError(f"name: no '=' and no blanks at its ends, got {self.name!r}")
        values = [value for rank in self.order for value in _listed(rank)]
        no_duplicates("order", values)
        if self.kind == "ordinal" and not self.order:
            raise ValueError("order: an ordinal column needs its values, the lowest first")
        if self.order and self.scale != "ordinal":
            raise ValueError(f"order: only an ordinal column has one, and this is {self.scale}")
        if self.order and len(self.order) < 2:
            raise ValueError(f"order: at least two ranks, got {self.order}")
        if self.log and self.scale != "numeric":
            raise ValueError(f"log: only a numeric column has logarithms, and this is {self.scale}")
        both = sorted(set(values) & set(self.missing))
        if both:
            raise ValueError(f"missing: {', '.join(both)} cannot be in order and missing")
        return self


def _listed(rank: str | list[str]) -> list[str]:
    return [rank] if isinstance(rank, str) else rank


def as_column(value: Any) -> Any:
    """A column given by its name alone, as a dictionary."""
    return {"name": value} if isinstance(value, str) else value


def check_columns(columns: list[ClinicalColumn], features: list[str]) -> None:
    """Refuse names that occur twice, among the columns or in the results.

    Args:
        columns: of the group `data`.
        features: names of the features.

    Raises:
        ValueError: names the columns.
    """
    no_duplicates("data.clinical", [column.name for column in columns])
    names = {name for column in columns for name in (column.name, column.name + MISSING_SUFFIX)}
    shared = sorted(names & set(features))
    if shared:
        raise ValueError(
            f"data.clinical: {', '.join(shared)} is the name of a feature; give the column another one: "
            f"{{name: clinical_{shared[0]}, column: {shared[0]}}}"
        )


def columns_like(training: list[ClinicalColumn], other: list[ClinicalColumn]) -> list[ClinicalColumn]:
    """The columns of a training in another table, which may have other headers and other missing values.

    Args:
        training: columns of the training.
        other: by name, the settings that differ; what they leave out is as in training.

    Raises:
        ConfigError: a name that is not in training.
    """
    changes = {column.name: column.model_dump(include=column.model_fields_set) for column in other}
    names = [column.name for column in training]
    unknown = [name for name in changes if name not in names]
    if unknown:
        raise ConfigError(
            f"data.clinical: {', '.join(unknown)} is no clinical column of the training, which has "
            f"{', '.join(names) or 'none'}. Map columns of another table onto these names: "
            "{name: …, column: …}."
        )
    return [
        ClinicalColumn.model_validate(column.model_dump() | changes.get(column.name, {}))
        for column in training
    ]
