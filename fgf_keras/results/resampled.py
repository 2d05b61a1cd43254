"""Means over repeated splits of one cohort, whose training and test parts overlap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from fgf_keras.results.columns import bar_of
from fgf_keras.results.interval import rounded


class ResampledMean(NamedTuple):
    """A mean over splits with the corrected interval.

    Attributes:
        mean: over the splits; NaN if there are none.
        low, high: interval; NaN for fewer than two splits, or if all splits have the same value other than 0.
        p: two-sided, for a mean of 0; NaN in the same cases.
        splits: number of splits without NaN.
    """

    mean: float
    low: float
    high: float
    p: float
    splits: int

    def named(self, name: str) -> dict[str, float]:
        """Mean and interval as columns of a table."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}


# The possible values of accuracies and shares, and of differences of two of them.
SHARES, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)


def possible_values(metric: str) -> tuple[float, float]:
    """The possible values of a metric, by the name of its column."""
    of_bar = bar_of(metric)
    return DIFFERENCES if of_bar and of_bar.is_difference else SHARES


_SAME = ResampledMean(0.0, 0.0, 0.0, 1.0, 0)
# A spread below this fraction of the mean is a rounding error.
_ROUNDING = 1e-12


def resampled_mean(
    values: ArrayLike,
    *,
    n_train: float,
    n_test: float,
    confidence: float = 0.95,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> ResampledMean:
    """The corrected resampled t-test: mean / √((1/J + n_test/n_train) s²) with J−1 degrees of freedom.

    Splits of one cohort share patients, so their values scatter less than J independent values would: the
    usual variance s²/J is too small, and the term n_test/n_train corrects it.

    Args:
        values: (J,) one per split, of one arm or the difference of two on the same split; NaN is left out.
        n_train: number of patients that a model is trained on.
        n_test: number of patients that it is tested on.
        confidence: of the interval.
        within: the possible values; the t distribution knows none, and of two splits its interval is so wide
            that it exceeds them.

    Source: Nadeau and Bengio, "Inference for the generalization error" (Machine Learning 52, 2003).
    """
    measured = np.asarray(values, np.float64)
    measured = measured[~np.isnan(measured)]
    splits = len(measured)
    mean = float(measured.mean()) if splits else np.nan
    if splits < 2:
        return ResampledMean(mean, np.nan, np.nan, np.nan, splits)
    error = float(np.sqrt((1 / splits + n_test / n_train) * measured.var(ddof=1)))
    if error <= _ROUNDING * abs(mean):
        # Splits that happen to agree do not justify an interval of zero width.
        return ResampledMean(mean, np.nan, np.nan, np.nan, splits) if mean else _SAME._replace(splits=splits)
    half = float(stats.t.ppf(0.5 + confidence / 2, splits - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, splits - 1))
    low, high = max(mean - half, within[0]), min(mean + half, within[1])
    return ResampledMean(mean, low, high, p, splits)


def verdict(
    metric: str, arm: str, reference: str, difference: ResampledMean, *, confidence: float = 0.95
) -> str:
    """One plain sentence about the difference in a metric between an arm and a reference."""
    mean, low, high = difference.mean, difference.low, difference.high
    if difference.splits < 2:
        return (
            f"no verdict: {metric} is there for {difference.splits} split(s) of both arms, and two are needed"
        )
    if np.isnan(difference.p):
        return (
            f"no verdict: {metric} of {arm} minus {reference} is {rounded(mean)} on each of "
            f"{difference.splits} splits, and without a spread there is no interval"
        )
    interval = f"[{rounded(low)}, {rounded(high)}]"
    if low <= 0 <= high:
        return (
            f"no difference shown: {metric} of {arm} minus {reference} is {rounded(mean)} {interval} "
            f"({confidence:.0%})"
        )
    change = "raises" if mean > 0 else "lowers"
    magnitude = interval if mean > 0 else f"[{rounded(-high)}, {rounded(-low)}]"
    return f"{arm} {change} {metric} by {rounded(abs(mean))} {magnitude} ({confidence:.0%})"
