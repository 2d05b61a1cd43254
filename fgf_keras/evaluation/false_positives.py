"""How often p-values fall below a level, over networks that each give many of them."""

import numpy as np
from scipy import stats


def rejections(patients, cohorts, alpha: float, *, confidence: float = 0.95) -> dict:
    """The share of p-values at most `alpha`, of patients one by one and of means over patients.

    Patients share a network, so that their p-values are not independent: the interval of their share is that
    of Student's t over the networks' own shares. Means over patients give one p-value a network, whose
    interval is Wilson's.

    Args:
        patients: for each network the p-values of its patients; NaN is left out and counted.
        cohorts: for each network the p-value of the mean over its patients; NaN is left out.
        alpha: level.
        confidence: of the intervals.

    Returns:
        {"networks", "patients", "undefined" (p-values of patients that are NaN), "rate", "rate_low",
        "rate_high" (NaN with fewer than two networks), "distance" (Kolmogorov-Smirnov, of all patients'
        p-values from the uniform distribution), "cohort_hits", "cohorts", "cohort_low", "cohort_high"}.
    """
    held = [np.asarray(p, np.float64) for p in patients]
    undefined = int(sum(np.isnan(p).sum() for p in held))
    held = [p[~np.isnan(p)] for p in held]
    held = [p for p in held if len(p)]
    means = np.asarray(cohorts, np.float64)
    means = means[~np.isnan(means)]
    rates = np.array([np.mean(p <= alpha) for p in held])
    found = {"networks": len(held), "patients": int(sum(map(len, held))), "undefined": undefined}
    found |= dict.fromkeys(("rate", "rate_low", "rate_high", "distance"), np.nan)
    if len(held):
        found["rate"] = float(rates.mean())
        found["distance"] = float(stats.kstest(np.concatenate(held), "uniform").statistic)
    if len(held) > 1:
        spread = stats.t.ppf((1 + confidence) / 2, len(rates) - 1) * rates.std(ddof=1) / np.sqrt(len(rates))
        found["rate_low"] = float(max(rates.mean() - spread, 0))
        found["rate_high"] = float(min(rates.mean() + spread, 1))
    found |= {"cohort_hits": int(np.sum(means <= alpha)), "cohorts": len(means)}
    found |= dict.fromkeys(("cohort_low", "cohort_high"), np.nan)
    if len(means):
        interval = stats.binomtest(found["cohort_hits"], len(means)).proportion_ci(
            confidence, method="wilson"
        )
        found |= {"cohort_low": float(interval.low), "cohort_high": float(interval.high)}
    return found
