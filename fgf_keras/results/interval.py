"""A number with its confidence interval, and the formatting of numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd


class Interval(NamedTuple):
    """A mean, or a difference of means, with its confidence interval.

    Attributes:
        mean: the estimate; NaN if it is undefined.
        low, high: the interval; NaN if there is none.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, mean: float | None, ci: Sequence[float | None]) -> "Interval":
        """From values of a JSON file, in which undefined numbers are null.

        Args:
            mean: the estimate.
            ci: [low, high].
        """
        return cls(or_nan(mean), or_nan(ci[0]), or_nan(ci[1]))

    @classmethod
    def of_summary(cls, summary: Mapping[str, Any]) -> "Interval":
        """From {"mean", "ci"} of a JSON file, see `bootstrap.bootstrap_mean`."""
        return cls.of(summary["mean"], summary["ci"])

    @classmethod
    def of_row(cls, row: pd.Series | dict[str, float], name: str) -> "Interval":
        """From the columns <name>, <name>_low and <name>_high of a row, see `ResampledMean.named`."""
        return cls.of(row[name], (row[f"{name}_low"], row[f"{name}_high"]))

    @classmethod
    def of_means(cls, row: pd.Series) -> "Interval":
        """From the columns mean, low and high of a row of `metrics_table` or `effects_table`."""
        return cls(*(float(row[field]) for field in cls._fields))

    @property
    def is_known(self) -> bool:
        """Whether there is an estimate with an interval."""
        return not any(map(math.isnan, self))

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and 0 lies outside of it."""
        return self.is_known and not self.low <= 0 <= self.high

    @property
    def is_defined(self) -> bool:
        """Whether there is an estimate."""
        return not math.isnan(self.mean)

    def __str__(self) -> str:
        if not self.is_known:
            return number(self.mean)
        return f"{rounded(self.mean)} [{rounded(self.low)}, {rounded(self.high)}]"


UNDEFINED = Interval(math.nan, math.nan, math.nan)


def rounded(value: float) -> str:
    """A number with three decimals, or with one significant digit if those would all be 0."""
    return f"{value:.3f}" if abs(value) >= 0.0005 or value == 0 else f"{value:.0e}"


def signed(value: float) -> str:
    """As `rounded`, with a sign."""
    return f"+{rounded(value)}" if value > 0 else rounded(value)


def with_signs(interval: Interval) -> str:
    """A difference with its interval, "+0.012 [-0.013, +0.046]"; without it if there is none."""
    if not interval.is_known:
        return signed(interval.mean) if interval.is_defined else number(interval.mean)
    return f"{signed(interval.mean)} [{signed(interval.low)}, {signed(interval.high)}]"


def number(value: float | None) -> str:
    """A number as text; "undefined" for None and NaN."""
    return "undefined" if value is None or math.isnan(value) else rounded(value)


def with_spread(mean: float | None, sd: float | None) -> str:
    """A mean ± standard deviation; without the latter if it is undefined, as for a single split."""
    return number(mean) if number(sd) == "undefined" else f"{number(mean)} ± {number(sd)}"


def or_nan(value: float | None) -> float:
    """NaN for None."""
    return math.nan if value is None else value


def or_none(value: float) -> float | None:
    """None for NaN, as JSON files have it; other numbers as Python's own."""
    return None if math.isnan(value) else float(value)
