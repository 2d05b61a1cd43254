"""Accuracy in groups of patients: where a network relies on a shortcut, it fails the group without it."""

from typing import Any

import numpy as np
from scipy.stats import binomtest

from fgf_keras.results.bootstrap import percentiles

WORST = "worst_group_accuracy"


def group_content(
    labels: np.ndarray,
    decisions: np.ndarray,
    groups: np.ndarray,
    of: str,
    *,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any] | None:
    """The share of right decisions among the patients of each label and group.

    Args:
        labels, decisions: (N,) in {0, 1}.
        groups: (N,) texts.
        of: what the groups are of, e.g. "marker".
        bootstrap: number of resamples, within each label and group, for the interval of the worst one.
        confidence: of the intervals; those of single groups are Wilson's.
        seed: of the resamples.

    Returns:
        {"of", "groups": [{"label", "group", "n", "accuracy": {"value", "ci"}}], "worst": {"value", "ci"}};
        None if all patients are in one group.
    """
    right = np.asarray(labels) == np.asarray(decisions)
    names = np.unique(groups)
    if len(names) < 2:
        return None
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    resampled = []
    for label in np.unique(labels):
        for name in names:
            of_group = right[(labels == label) & (groups == name)]
            if not len(of_group):
                continue
            interval = binomtest(int(of_group.sum()), len(of_group)).proportion_ci(confidence, "wilson")
            accuracy = {"value": float(of_group.mean()), "ci": [float(interval.low), float(interval.high)]}
            rows.append({"label": int(label), "group": str(name), "n": len(of_group), "accuracy": accuracy})
            resampled.append(rng.binomial(len(of_group), of_group.mean(), bootstrap) / len(of_group))
    worst = min(row["accuracy"]["value"] for row in rows)
    interval_of_worst = percentiles(np.min(resampled, axis=0), confidence)
    return {"of": of, "groups": rows, "worst": {"value": worst, "ci": interval_of_worst}}
