"""Calibration: predicted probabilities compared with observed rates."""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import brier_score_loss

# Approximate number of patients per group, as long as this gives 3 to 10 groups.
PATIENTS_PER_GROUP = 20


def calibration_bins(
    labels: np.ndarray, probability: np.ndarray, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Groups of patients with similar predictions, of equal size if there are no ties.

    Columns: predicted (mean probability), observed (rate of positive patients), low and high (Wilson's
    interval of that rate), n, positive.

    Args:
        labels: (N,) in {0, 1}.
        probability: (N,).
        confidence: of the interval.
    """
    table = pd.DataFrame({"predicted": np.asarray(probability, np.float64), "label": np.asarray(labels)})
    groups = int(np.clip(len(table) // PATIENTS_PER_GROUP, 3, 10))
    # Ranks rather than quantiles: equal predictions share a rank and therefore a group.
    relative_rank = (table["predicted"].rank() - 0.5) / len(table)
    rows = []
    for _, group in table.groupby(np.floor(relative_rank * groups)):
        n, positive = len(group), int(group["label"].sum())
        interval = stats.binomtest(positive, n).proportion_ci(confidence, method="wilson")
        rows.append(
            {
                "predicted": group["predicted"].mean(),
                "observed": positive / n,
                "low": float(interval.low),
                "high": float(interval.high),
                "n": n,
                "positive": positive,
            }
        )
    return pd.DataFrame(rows)


def calibration_summary(labels: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Brier score, that of a constant prediction of the prevalence, mean prediction, observed rate, ratio.

    Args:
        labels: (N,) in {0, 1}, of both classes.
        probability: (N,).
    """
    rate, mean = float(np.mean(labels)), float(np.mean(probability))
    return {
        "brier": float(brier_score_loss(labels, probability)),
        "reference": rate * (1 - rate),
        "mean": mean,
        "rate": rate,
        "expected_to_observed": mean / rate,
    }
