"""Clinical columns as numbers for a classifier, by what the training patients hold."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from fgf_keras.config.clinical import MISSING_SUFFIX, ClinicalColumn
from fgf_keras.data.slices import listing
from fgf_keras.errors import DataError

if TYPE_CHECKING:
    from fgf_keras.data.cohort import Cohort

_log = logging.getLogger(__name__)
# Values that patients of one class alone have are a leak if that is rarer by chance than this.
CHANCE = 1e-3


@dataclass(frozen=True)
class ColumnEncoding:
    """How one column is encoded.

    Attributes:
        name: of the column.
        scale: "numeric", "ordinal" or "categorical".
        log: whether numbers are replaced by their natural logarithms first.
        ranks: of the values of an ordinal column.
        categories: of the training part, sorted; each is a column of 0 and 1.
        centre, spread: mean and standard deviation over the training part, which are subtracted and divided
            by; 0 and 1 for categories.
        median: over the training part, in place of missing numbers and ranks.
        has_missing: whether a value is missing in the training part; then one more column says where.
    """

    name: str
    scale: str
    log: bool
    ranks: dict[str, int]
    categories: tuple[str, ...]
    centre: float
    spread: float
    median: float
    has_missing: bool

    @classmethod
    def fit(cls, column: ClinicalColumn, values: pd.Series) -> Self:
        """The encoding by the values of the training patients.

        Raises:
            DataError: the same value for all of them, none at all, or a category of its own for each.
        """
        place = f"The clinical column {column.name!r}"
        present = values.dropna()
        if present.empty:
            raise DataError(f"{place} is missing for all {len(values)} training patients. Leave it out.")
        has_missing = len(present) < len(values)
        if present.nunique() == 1 and not has_missing:
            raise DataError(
                f"{place} is {str(present.iloc[0])!r} for all {len(values)} training patients. Leave it "
                "out of data.clinical."
            )
        if column.scale == "categorical":
            categories = tuple(sorted(map(str, present.unique())))
            if len(categories) == len(values) > 2:
                raise DataError(
                    f"{place} has a category of its own for each of {len(values)} training patients: it is "
                    "an id. If it holds numbers, say kind: numeric; else leave it out."
                )
            return cls(column.name, column.scale, False, {}, categories, 0.0, 1.0, 0.0, has_missing)
        numbers = _as_numbers(values, column.log, column.ranks)
        median = float(np.nanmedian(numbers))
        numbers = np.where(np.isnan(numbers), median, numbers)
        # Of a column with one value and missing ones, only where they are missing is left.
        spread = float(numbers.std()) or 1.0
        ranks = column.ranks if column.scale == "ordinal" else {}
        return cls(
            column.name,
            column.scale,
            column.log,
            ranks,
            (),
            float(numbers.mean()),
            spread,
            median,
            has_missing,
        )

    @property
    def names(self) -> list[str]:
        """Names of the encoded columns."""
        own = [f"{self.name}={category}" for category in self.categories] or [self.name]
        return own + ([self.name + MISSING_SUFFIX] if self.has_missing else [])

    def encode(self, values: pd.Series) -> np.ndarray:
        """The encoded columns (N, len(names)), float64."""
        missing = values.isna().to_numpy()
        if self.scale == "categorical":
            unseen = sorted({str(v) for v in values[~missing]} - set(self.categories))
            if unseen:
                count = int(values.isin(unseen).sum())
                _log.warning(
                    "Clinical column %r: %d patients have a value that no training patient has (%s); they "
                    "are encoded as none of the categories.",
                    self.name,
                    count,
                    listing(unseen),
                )
            encoded = np.stack([(values == c).to_numpy() for c in self.categories], axis=1).astype(np.float64)
        else:
            numbers = _as_numbers(values, self.log, self.ranks)
            numbers = np.where(missing, self.median, numbers)
            encoded = ((numbers - self.centre) / self.spread)[:, np.newaxis]
        if self.has_missing:
            encoded = np.concatenate([encoded, missing[:, np.newaxis]], axis=1)
        return encoded


@dataclass(frozen=True)
class ClinicalEncoding:
    """How clinical columns become the numbers that a classifier sees.

    Attributes:
        columns: of each column.
        sd: standard deviation of each encoded column over the training part.
    """

    columns: tuple[ColumnEncoding, ...]
    sd: tuple[float, ...]

    @classmethod
    def fit(cls, columns: Sequence[ClinicalColumn], table: pd.DataFrame, training_rows: ArrayLike) -> Self:
        """The encoding by the training patients of a table.

        Numbers and ranks are standardised, and missing ones replaced by the median; a category is a column of
        0 and 1. Where a value is missing in the training part, one more column says so, `<name>_missing`.

        Args:
            columns: to encode, in this order.
            table: raw values, see `Cohort.clinical`.
            training_rows: positions of the training patients.

        Raises:
            DataError: see `ColumnEncoding.fit`; two encoded columns of one name.
        """
        training = table.iloc[np.asarray(training_rows)]
        encodings = tuple(ColumnEncoding.fit(column, training[column.name]) for column in columns)
        names = pd.Index([name for encoding in encodings for name in encoding.names])
        if names.has_duplicates:
            raise DataError(
                f"Encoded clinical columns of one name: {listing(names[names.duplicated()])}. Rename one: "
                "{name: …, column: …}."
            )
        encoded = np.concatenate([e.encode(training[e.name]) for e in encodings], axis=1)
        return cls(encodings, tuple(map(float, encoded.std(axis=0))))

    @property
    def names(self) -> list[str]:
        """Names of the k encoded columns: `age`, `site=larynx`, `age_missing`."""
        return [name for column in self.columns for name in column.names]

    def encode(self, table: pd.DataFrame) -> np.ndarray:
        """The encoded columns of patients, (N, k) float32.

        Args:
            table: raw values by name, see `Cohort.clinical`; other columns are ignored.

        Raises:
            DataError: a column is not in the table.
        """
        absent = [column.name for column in self.columns if column.name not in table]
        if absent:
            raise DataError(
                f"The model takes the clinical columns {', '.join(c.name for c in self.columns)}. Not in the "
                f"table: {', '.join(absent)}. Name them in data.clinical: {{name: {absent[0]}, column: …}}."
            )
        return np.concatenate([c.encode(table[c.name]) for c in self.columns], axis=1).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        return {"columns": [asdict(column) for column in self.columns], "sd": list(self.sd)}

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Self:
        """The encoding that `to_json` wrote.

        Raises:
            DataError: other content.
        """
        try:
            columns = [{**entry, "categories": tuple(entry["categories"])} for entry in content["columns"]]
            return cls(tuple(ColumnEncoding(**entry) for entry in columns), tuple(content["sd"]))
        except (KeyError, TypeError) as error:
            raise DataError(f"The encoding of clinical columns is damaged: {error}. Train again.") from None


def encoded(
    cohort: "Cohort",
    columns: Sequence[ClinicalColumn],
    training_rows: ArrayLike,
    *,
    clinical_input: bool = True,
) -> "Cohort":
    """A cohort with the encoding of its clinical columns by its training patients; itself without columns.

    Args:
        cohort: with raw columns.
        columns: to encode.
        training_rows: positions of the training patients.
        clinical_input: see `Cohort`.

    Raises:
        DataError: the source has no such columns, one of them cannot be encoded, or determines the label.
    """
    if not columns:
        return cohort
    if cohort.clinical is None:
        raise DataError("data.clinical: this data source reads no clinical columns. Leave it out.")
    rows = np.asarray(training_rows)
    refuse_leaks(columns, cohort.clinical.iloc[rows], cohort.labels[rows])
    encoding = ClinicalEncoding.fit(columns, cohort.clinical, rows)
    return cohort.with_encoding(encoding, clinical_input=clinical_input)


def refuse_leaks(columns: Sequence[ClinicalColumn], table: pd.DataFrame, labels: np.ndarray) -> None:
    """Refuse columns that determine the label of all training patients, unless that is allowed.

    Numbers and ranks do if thresholds separate the classes, categories if each belongs to one class; where a
    value is missing counts like a category. Values that are there for patients of one class alone, like the
    date of the outcome, do too, unless that happens by chance (p > 0.001).

    Args:
        columns: to check.
        table: raw values of the training patients.
        labels: (n,) of them.

    Raises:
        DataError: names the columns.
    """
    leaks = [
        repr(column.name)
        for column in columns
        if not column.allow_leak and _determines(column, table[column.name], np.asarray(labels))
    ]
    if leaks:
        subject = (
            f"column {leaks[0]} determines" if len(leaks) == 1 else f"columns {', '.join(leaks)} determine"
        )
        raise DataError(
            f"The clinical {subject} the label of the {len(labels)} training patients, as the outcome itself "
            "would, or a date that only patients with the outcome have. Leave it out of data.clinical; if it "
            "is known before the outcome, set allow_leak: true."
        )


def _determines(column: ClinicalColumn, values: pd.Series, labels: np.ndarray) -> bool:
    if len(np.unique(labels)) < 2:
        return False
    missing = values.isna().to_numpy()
    of_one = np.unique(labels[~missing])
    if len(of_one) == 1:
        # All of these draws from the patients are of that class.
        own = int((labels == of_one[0]).sum())
        drawn = int((~missing).sum())
        return bool(stats.hypergeom.pmf(drawn, len(labels), own, drawn) < CHANCE)
    if len(np.unique(labels[missing])) > 1:
        return False
    classes = pd.Series(labels[~missing])
    present = values[~missing].reset_index(drop=True)
    if column.scale == "categorical":
        return bool((classes.groupby(present).nunique() == 1).all())
    numbers = pd.Series(_as_numbers(present, False, column.ranks))
    ranges = numbers.groupby(classes).agg(["min", "max"]).sort_values("min")
    return bool((ranges["max"].to_numpy()[:-1] < ranges["min"].to_numpy()[1:]).all())


def _as_numbers(values: pd.Series, log: bool, ranks: Mapping[str, int]) -> np.ndarray:
    """Numbers, their logarithms, or ranks; NaN where missing."""
    if ranks:
        return values.map(ranks, na_action="ignore").to_numpy(np.float64, na_value=np.nan)
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    return np.log(numbers) if log else numbers
