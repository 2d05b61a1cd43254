"""What a classifier loses when images are changed: AUC and balanced accuracy before and after, paired."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fgf_keras.results.bootstrap import percentiles
from fgf_keras.results.classification import resampled_metrics

METRICS = ("auc", "balanced_accuracy")
# The band of random changes, in percent.
_BAND = (5, 95)
# Differences below this are rounding errors.
_ROUNDING = 1e-12


def classification_drops(
    labels: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    random: Sequence[np.ndarray] | None,
    threshold: float,
    *,
    bootstrap: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """AUC and balanced accuracy of the same patients before and after a change of their images.

    Args:
        labels: (N,) in {0, 1}.
        before, after: (N,) logits.
        random: (N,) logits after each of n random changes; None if there is nothing to compare with.
        threshold: of the decision, a logit.
        bootstrap, confidence, seed: of the intervals, over patients resampled within each class. A resample
            has the same patients before and after.

    Returns:
        For each metric {"before", "after", "drop": {"mean", "ci"}, "random": {"after", "drop", "q05", "q95",
        "p"}}: the mean after random changes, the mean drop, its 5-95 % band, and p = (1 + #{random drop ≥
        drop})/(1 + n). All are None where patients of a class are missing, and those of no random changes;
        "random" is left out if `random` is None.
    """
    if len(np.unique(labels)) < 2:
        nothing: list[float] | None = None if random is None else []
        return {name: _entry(None, None, [None, None], nothing) for name in METRICS}
    start, end = (_metrics(labels, logits, threshold) for logits in (before, after))
    draws = None if random is None else [_metrics(labels, logits, threshold) for logits in random]
    first, second = (
        resampled_metrics(logits[labels == 1], logits[labels == 0], threshold, bootstrap, seed)
        for logits in (before, after)
    )
    drops: dict[str, Any] = {}
    for name in METRICS:
        # Equal up to rounding is equal: what is said of a drop depends on the signs of the ends.
        paired = np.subtract(np.asarray(first[name]), np.asarray(second[name]))
        paired = np.where(np.abs(paired) < _ROUNDING, 0.0, paired)
        values = None if draws is None else [draw[name] for draw in draws]
        drops[name] = _entry(start[name], end[name], percentiles(paired, confidence), values)
    return drops


def _metrics(labels: np.ndarray, logits: np.ndarray, threshold: float) -> dict[str, float]:
    decisions = (logits > threshold).astype(int)
    values = (roc_auc_score(labels, logits), balanced_accuracy_score(labels, decisions))
    return dict(zip(METRICS, map(float, values)))


def _entry(
    before: float | None, after: float | None, ci: list[float | None], random: list[float] | None
) -> dict[str, Any]:
    drop = None if before is None or after is None else round(before - after, 12) + 0.0
    entry = {"before": before, "after": after, "drop": {"mean": drop, "ci": ci}}
    return entry if random is None else entry | {"random": _chance(before, drop, np.array(random))}


def _chance(before: float | None, drop: float | None, after: np.ndarray) -> dict[str, float | None]:
    if before is None or drop is None or not len(after):
        return dict.fromkeys(("after", "drop", "q05", "q95", "p"))
    drops = before - after
    # Equal up to rounding counts as reached.
    reached = int((drops >= drop - _ROUNDING).sum())
    low, high = np.percentile(drops, _BAND)
    values = (after.mean(), drops.mean(), low, high, (1 + reached) / (1 + len(drops)))
    return dict(zip(("after", "drop", "q05", "q95", "p"), map(float, values)))
