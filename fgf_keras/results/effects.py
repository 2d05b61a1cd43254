"""Signed effects over a cohort: means with intervals, and how many patients share a sign."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fgf_keras.results.bootstrap import bootstrap_mean
from fgf_keras.results.interval import Interval, or_nan

if TYPE_CHECKING:
    from fgf_keras.measure.explanation import Explanation

# Quantities of each feature, as the columns of `Explanation.to_frame` begin.
EFFECTS = ("effect", "slope", "slope_alone", "contribution", "contribution_shapley", "change")
# The absolute value of the effect: features whose slope has either sign have a size all the same.
SIZE = "effect_size"
# The contribution divided by the score, and the same of what no feature explains.
SHARE = "contribution_share"
UNEXPLAINED, UNEXPLAINED_SHARE = "unexplained", "unexplained_share"


def effects_content(
    explanation: "Explanation",
    rows: np.ndarray,
    *,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Signed effects and contributions over patients.

    Args:
        explanation: of the cohort.
        rows: positions of the patients to summarise.
        bootstrap: number of resamples of patients.
        confidence: of the interval.
        seed: of the resamples.

    Returns:
        {feature: {quantity of `EFFECTS`, "effect_size" or "contribution_share": summary}, "unexplained":
        summary, "unexplained_share": summary}, each summary {"mean", "ci", "median", "positive" and
        "negative": shares of patients with that sign, "n": number of patients in whom it is defined}. Shares
        are of the score that is lost along the path, so that they add up to 1. Quantities that were not
        measured are left out.
    """
    frame = explanation.to_frame().iloc[rows]
    names = explanation.feature_names
    lost = frame[[f"contribution_{name}" for name in names]].sum(axis=1, skipna=False) + frame[UNEXPLAINED]
    frame = frame.assign(**{f"{SHARE}_{name}": frame[f"contribution_{name}"] / lost for name in names})
    frame = frame.assign(**{f"{SIZE}_{name}": frame[f"effect_{name}"].abs() for name in names})
    frame[UNEXPLAINED_SHARE] = frame[UNEXPLAINED] / lost
    rng = np.random.default_rng(seed)

    def summary(column: str) -> dict[str, Any]:
        values = frame[column].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        mean = bootstrap_mean(values, bootstrap=bootstrap, confidence=confidence, rng=rng)
        known = len(values) > 0
        return mean | {
            "median": float(np.median(values)) if known else None,
            "positive": float(np.mean(values > 0)) if known else None,
            "negative": float(np.mean(values < 0)) if known else None,
            "n": len(values),
        }

    content: dict[str, Any] = {
        name: {key: summary(f"{key}_{name}") for key in (*EFFECTS, SHARE, SIZE) if f"{key}_{name}" in frame}
        for name in names
    }
    return content | {key: summary(key) for key in (UNEXPLAINED, UNEXPLAINED_SHARE)}


def effects_table(content: dict[str, Any]) -> pd.DataFrame:
    """The content as a tidy table: feature, quantity, mean, low, high, median, positive, negative, n.

    Args:
        content: from `effects_content`; of a file of an earlier version it is empty.
    """
    columns = ["feature", "quantity", *Interval._fields, "median", "positive", "negative", "n"]
    return pd.DataFrame(list(_rows(content)), columns=columns)


def _rows(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for feature, quantities in content.items():
        if feature in (UNEXPLAINED, UNEXPLAINED_SHARE):
            feature, quantities = "", {feature: quantities}
        for quantity, summary in quantities.items():
            row = {"feature": feature, "quantity": quantity}
            row |= Interval.of_summary(summary)._asdict()
            yield row | {key: or_nan(summary[key]) for key in ("median", "positive", "negative", "n")}
