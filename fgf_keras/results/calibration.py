"""How far predicted probabilities are the rates that are observed."""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import brier_score_loss

# About so many patients a group, where that makes 3 to 10 groups.
A_GROUP = 20


def calibration_bins(
    labels: np.ndarray, probability: np.ndarray, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Groups of patients with like predictions, of one size where there are no ties.

    Columns: predicted (mean probability), observed (rate of positive patients), low and high (Wilson's
    interval of that rate), n, positive.

    Args:
        labels: (N,) in {0, 1}.
        probability: (N,).
        confidence: of the interval.
    """
    table = pd.DataFrame({"predicted": np.asarray(probability, np.float64), "label": np.asarray(labels)})
    groups = int(np.clip(len(table) // A_GROUP, 3, 10))
    # Ranks rather than quantiles: equal predictions share a rank, and so a group.
    place = (table["predicted"].rank() - 0.5) / len(table)
    rows = []
    for _, group in table.groupby(np.floor(place * groups)):
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
    """Brier score, that of always predicting the prevalence, mean prediction, observed rate, and their ratio.

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
