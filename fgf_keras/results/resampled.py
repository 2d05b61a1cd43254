"""Means over repeated splits of one cohort, whose test and training parts overlap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from fgf_keras.results.interval import rounded


class ResampledMean(NamedTuple):
    """A mean over splits with the corrected interval.

    Attributes:
        mean: over the splits; NaN without any.
        low, high: interval; NaN where there are fewer than two splits, or all have the same value but 0.
        p: two-sided, of a mean of 0; NaN likewise.
        splits: how many there are, those with NaN not counted.
    """

    mean: float
    low: float
    high: float
    p: float
    splits: int

    def named(self, name: str) -> dict[str, float]:
        """Mean and interval as columns of a table."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}


_SAME = ResampledMean(0.0, 0.0, 0.0, 1.0, 0)
# Below this part of the mean, a spread is what rounding leaves.
_ROUNDING = 1e-12


def resampled_mean(
    values: ArrayLike, *, n_train: float, n_test: float, confidence: float = 0.95
) -> ResampledMean:
    """The corrected resampled t-test: mean / √((1/J + n_test/n_train) s²) with J−1 degrees of freedom.

    Splits of one cohort share patients, so that J values scatter less than J independent ones would: the
    usual variance s²/J is too small, and n_test/n_train is what is missing.

    Args:
        values: (J,) one per split, of one arm or the difference of two on the same split; NaN is left out.
        n_train: patients a model is trained on.
        n_test: patients it is tested on.
        confidence: of the interval.

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
        # Two splits that happen to agree are no certainty, as an interval of no width would have it.
        return ResampledMean(mean, np.nan, np.nan, np.nan, splits) if mean else _SAME._replace(splits=splits)
    half = float(stats.t.ppf(0.5 + confidence / 2, splits - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, splits - 1))
    return ResampledMean(mean, mean - half, mean + half, p, splits)


def verdict(figure: str, arm: str, reference: str, found: ResampledMean, *, confidence: float = 0.95) -> str:
    """One plain sentence on the difference of a figure between an arm and a reference."""
    if found.splits < 2:
        return f"no verdict: {figure} is there for {found.splits} split(s) of both arms, and two are needed"
    if np.isnan(found.p):
        return (
            f"no verdict: {figure} of {arm} minus {reference} is {rounded(found.mean)} on each of "
            f"{found.splits} splits, and without a spread there is no interval"
        )
    interval = f"[{rounded(found.low)}, {rounded(found.high)}]"
    if found.low <= 0 <= found.high:
        return (
            f"no difference shown: {figure} of {arm} minus {reference} is {rounded(found.mean)} {interval} "
            f"({confidence:.0%})"
        )
    change = "raises" if found.mean > 0 else "lowers"
    magnitude = interval if found.mean > 0 else f"[{rounded(-found.high)}, {rounded(-found.low)}]"
    return f"{arm} {change} {figure} by {rounded(abs(found.mean))} {magnitude} ({confidence:.0%})"
