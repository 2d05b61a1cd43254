"""Features of tables: a column, and a weighted sum of columns."""

import copy
import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from fgf_keras.errors import FeatureError
from fgf_keras.features.base import Feature, derived_name, refuse_ranks


class _WeightedColumns(Feature):
    """g = Σ_k c_k x_k over named columns of a table (B, P); ∇g = c."""

    ranks = (0,)

    def __init__(
        self, coefficients: Mapping[str, float], columns: Sequence[str] | None, name: str | None
    ) -> None:
        super().__init__(name=name)
        self.coefficients = dict(coefficients)
        self.columns: tuple[str, ...] | None = None
        self._positions: list[int] = []
        if columns is not None:
            self._bind(columns)

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`; of a table (B, P), in its type."""
        del mask, spacing
        positions = self._positions_in(image)
        # Only the columns that count are read, so that missing values in others do no harm.
        weights = tf.constant(list(self.coefficients.values()), image.dtype)
        return tf.reduce_sum(tf.gather(image, positions, axis=1) * weights, axis=1)

    def gradient(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.gradient`: the coefficients in their columns, 0 elsewhere, (B, P)."""
        del mask, spacing
        row = np.zeros(image.shape[1])
        row[self._positions_in(image)] = list(self.coefficients.values())
        return tf.broadcast_to(tf.constant(row, image.dtype), tf.shape(image))

    def bound(self, columns: Sequence[str]) -> Self:
        """See `Feature.bound`: a copy that knows where its columns are in a table."""
        twin = copy.copy(self)
        twin._bind(columns)
        return twin

    def _positions_in(self, image: tf.Tensor) -> list[int]:
        refuse_ranks([self], len(image.shape) - 2)
        if self.columns is None:
            first = next(iter(self.coefficients))
            raise FeatureError(
                f"Feature {self.name!r} does not know which column of the table is {first!r}. Give explain a "
                "pandas DataFrame, whose columns have names, or name all columns of the table in order: "
                f"{type(self).__name__}(..., columns=[...])."
            )
        if image.shape[1] != len(self.columns):
            raise FeatureError(
                f"Feature {self.name!r} is of a table with {len(self.columns)} columns "
                f"({_listing(self.columns)}). Received: shape={tuple(image.shape)}."
            )
        return self._positions

    def _bind(self, columns: Sequence[str]) -> None:
        columns = tuple(map(str, columns))
        for column in self.coefficients:
            if columns.count(column) > 1:
                raise FeatureError(
                    f"Feature {self.name!r} is of the column {column!r}, a name that {columns.count(column)} "
                    "columns of the table have. Rename them."
                )
            if column not in columns:
                similar = difflib.get_close_matches(column, columns, n=3)
                hint = f"Did you mean {_listing(similar)}?" if similar else f"It has {_listing(columns)}."
                raise FeatureError(
                    f"Feature {self.name!r} is of the column {column!r}, which is not in the table. {hint}"
                )
        self.columns = columns
        self._positions = [columns.index(column) for column in self.coefficients]

    def _columns_config(self) -> dict[str, Any]:
        return {"columns": None if self.columns is None else list(self.columns)}


@keras.saving.register_keras_serializable(package="fgf_keras")
class Column(_WeightedColumns):
    """The value in one column of a table, g = x_k; ∂g/∂x_k = 1.

    Args:
        column: its name.
        columns: the names of all P columns of the tables (B, P), in order. `explain` adds them if it is given
            a pandas DataFrame.
        name: defaults to the name of the column, with '_' in place of what is not a letter, a digit, '_', '.'
            or '-': "mean radius" becomes "mean_radius".

    Raises:
        FeatureError: there is no such column, or no name can be derived from it.

    Example:
        >>> Column("age", columns=["sex", "age", "bmi"]).value(table, mask)   # (B, 3), (B, 1) -> (B,)
    """

    def __init__(self, column: str, *, columns: Sequence[str] | None = None, name: str | None = None) -> None:
        _require_column(column)
        super().__init__({column: 1.0}, columns, name or _name_of(column))
        self.column = column

    def get_config(self) -> dict[str, Any]:
        """Keras serialisation."""
        return {"column": self.column, **self._columns_config(), **super().get_config()}


@keras.saving.register_keras_serializable(package="fgf_keras")
class LinearCombination(_WeightedColumns):
    """A weighted sum of columns of a table, g = Σ_k c_k x_k; ∂g/∂x_k = c_k.

    Args:
        coefficients: c_k by the name of the column, e.g. {"age": 0.5, "bmi": 1.0}.
        columns: the names of all P columns of the tables (B, P), in order. `explain` adds them if it is given
            a pandas DataFrame.
        name: of the sum, e.g. "risk".

    Raises:
        FeatureError: there is no such column, or the coefficients are not finite numbers, or all 0.
    """

    def __init__(
        self, coefficients: Mapping[str, float], *, name: str, columns: Sequence[str] | None = None
    ) -> None:
        if not isinstance(coefficients, Mapping) or not coefficients:
            raise FeatureError(
                "A linear combination needs the coefficients of columns by their names, e.g. "
                f"{{'age': 0.5, 'bmi': 1.0}}. Received: coefficients={coefficients!r}."
            )
        for column, coefficient in coefficients.items():
            _require_column(column)
            if not isinstance(coefficient, int | float | np.number) or not math.isfinite(coefficient):
                raise FeatureError(
                    f"Coefficients are finite numbers. Received: {coefficient!r} for column {column!r}."
                )
        if not any(coefficients.values()):
            raise FeatureError(
                f"A linear combination of coefficients 0 is constant. Received: {coefficients!r}."
            )
        super().__init__({column: float(c) for column, c in coefficients.items()}, columns, name)

    def get_config(self) -> dict[str, Any]:
        """Keras serialisation."""
        return {"coefficients": self.coefficients, **self._columns_config(), **super().get_config()}


def _require_column(column: object) -> None:
    if not isinstance(column, str) or not column:
        raise FeatureError(
            f"A column is given by its name, a text such as 'age'. Received: {column!r}. In a table whose "
            "columns have numbers for names, the name is that number as a text."
        )


def _name_of(column: str) -> str:
    name = derived_name(column)
    if not name:
        raise FeatureError(
            f"No name for logs and tables can be derived from the column {column!r}: give one with letters, "
            f"digits, '_', '.' or '-', e.g. Column({column!r}, name='age')."
        )
    return name


def _listing(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} others" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
