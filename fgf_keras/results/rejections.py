"""Rejection rates: the share of p-values below a level, over networks with many patients each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def rejections(
    patients: Sequence[ArrayLike], cohorts: ArrayLike, alpha: float, *, confidence: float = 0.95
) -> dict[str, Any]:
    """The share of p-values of at most `alpha`, for single patients and for means over patients.

    Patients of one network have dependent p-values: the interval of their rate is that of Student's t over
    the rates of the networks. Means over patients give one p-value per network; the interval of their rate is
    Wilson's.

    Args:
        patients: for each network, the p-values of its patients; NaN is left out and counted.
        cohorts: for each network, the p-value of the mean over its patients; NaN is left out.
        alpha: significance level.
        confidence: of the intervals.

    Returns:
        {"networks", "patients", "undefined" (number of p-values of patients that are NaN), "rate",
        "rate_low", "rate_high" (NaN with fewer than two networks), "distance" (Kolmogorov-Smirnov distance of
        the p-values of all patients from the uniform distribution), "cohort_hits", "cohorts", "cohort_low",
        "cohort_high"}.
    """
    by_network = [np.asarray(p, np.float64) for p in patients]
    undefined = int(sum(np.isnan(p).sum() for p in by_network))
    by_network = [p[~np.isnan(p)] for p in by_network]
    by_network = [p for p in by_network if len(p)]
    cohort_p = np.asarray(cohorts, np.float64)
    cohort_p = cohort_p[~np.isnan(cohort_p)]
    rates = np.array([np.mean(p <= alpha) for p in by_network])
    result: dict[str, float] = {
        "networks": len(rates),
        "patients": int(sum(map(len, by_network))),
        "undefined": undefined,
    }
    result |= dict.fromkeys(("rate", "rate_low", "rate_high", "distance"), np.nan)
    if len(rates):
        result["rate"] = float(rates.mean())
        result["distance"] = float(stats.kstest(np.concatenate(by_network), "uniform").statistic)
    if len(rates) > 1:
        spread = stats.t.ppf((1 + confidence) / 2, len(rates) - 1) * rates.std(ddof=1) / np.sqrt(len(rates))
        result["rate_low"] = float(max(rates.mean() - spread, 0))
        result["rate_high"] = float(min(rates.mean() + spread, 1))
    result |= {"cohort_hits": int(np.sum(cohort_p <= alpha)), "cohorts": len(cohort_p)}
    result |= dict.fromkeys(("cohort_low", "cohort_high"), np.nan)
    if len(cohort_p):
        test = stats.binomtest(int(np.sum(cohort_p <= alpha)), len(cohort_p))
        interval = test.proportion_ci(confidence, method="wilson")
        result |= {"cohort_low": float(interval.low), "cohort_high": float(interval.high)}
    return result
