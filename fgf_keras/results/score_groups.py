"""Whether alignment depends on the score: rank correlation, and means by outcome and decision."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from fgf_keras.results.bootstrap import bootstrap_mean, percentiles
from fgf_keras.results.chosen import GROUPS
from fgf_keras.results.interval import UNDEFINED, Interval
from fgf_keras.results.rank_correlation import rank_correlation

RESAMPLES = 1000


class ScoreGroup(NamedTuple):
    """Alignment of the patients with one outcome and one decision.

    Attributes:
        name: of the group.
        n: number of patients.
        defined: number of patients whose S is defined.
        median: of joint S; NaN where there is none.
        mean: of joint S with its interval.
    """

    name: str
    n: int
    defined: int
    median: float
    mean: Interval


def score_correlation(scores: np.ndarray, shares: np.ndarray, *, confidence: float, seed: int) -> Interval:
    """Spearman's rank correlation of a share with the score, with its bootstrap interval over patients.

    Args:
        scores: (N,) logits.
        shares: (N,); NaN where undefined.
        confidence: of the interval.
        seed: of the resamples.
    """
    known = np.isfinite(shares) & np.isfinite(scores)
    pairs = np.stack([scores[known], shares[known]])
    if pairs.shape[1] < 3 or (np.ptp(pairs, axis=1) == 0).any():
        return UNDEFINED
    rng = np.random.default_rng(seed)
    samples = pairs[:, rng.integers(0, pairs.shape[1], (RESAMPLES, pairs.shape[1]))]
    resampled = rank_correlation(*samples)
    ends = percentiles(resampled[np.isfinite(resampled)], confidence)
    return Interval.of(float(rank_correlation(*pairs)), ends)


def score_groups(
    patients: pd.DataFrame, shares: pd.Series, *, confidence: float, seed: int
) -> list[ScoreGroup]:
    """Joint S by outcome and decision, without empty groups.

    Args:
        patients: with columns label and decision.
        shares: joint S of the same patients; NaN where undefined.
        confidence: of the intervals.
        seed: of the resamples.
    """
    groups = []
    for (label, decision), name in GROUPS.items():
        members = (patients["label"] == label) & (patients["decision"] == decision)
        if members.any():
            values = shares[members].dropna().to_numpy(np.float64)
            rng = np.random.default_rng(seed)
            summary = bootstrap_mean(values, bootstrap=RESAMPLES, confidence=confidence, rng=rng)
            median = float(np.median(values)) if len(values) else np.nan
            mean = Interval.of_summary(summary)
            groups.append(ScoreGroup(name, int(members.sum()), len(values), median, mean))
    return groups
