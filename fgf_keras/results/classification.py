"""Classification metrics of a two-class model, with bootstrap intervals."""

from typing import Any

import numpy as np
from sklearn.metrics import balanced_accuracy_score, recall_score, roc_auc_score

from fgf_keras.errors import DataError
from fgf_keras.results.bootstrap import percentiles


def choose_threshold(labels: np.ndarray, logits: np.ndarray) -> float:
    """The logit with the largest balanced accuracy, halfway between the two neighbouring scores.

    It is chosen on validation data and then fixed. Of several best thresholds, the one closest to 0 is used.

    Args:
        labels: (N,) in {0, 1}.
        logits: (N,).
    """
    _two_classes(labels, "choosing the threshold")
    scores = np.unique(np.asarray(logits, np.float64))
    candidates = np.concatenate([[scores[0] - 1], (scores[1:] + scores[:-1]) / 2, [scores[-1] + 1]])
    accuracy = np.array([balanced_accuracy_score(labels, logits > c) for c in candidates])
    best = candidates[accuracy >= accuracy.max() - 1e-12]
    return float(best[np.argmin(np.abs(best))])


def classification_metrics(
    labels: np.ndarray,
    logits: np.ndarray,
    threshold: float,
    *,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Balanced accuracy, AUC, sensitivity and specificity at a given threshold.

    Intervals are percentiles over patients resampled within each class, so that every resample contains both
    classes.

    Args:
        labels: (N,) in {0, 1}.
        logits: (N,); positive above `threshold`.
        threshold: of the decision, a logit.
        bootstrap: number of resamples.
        confidence: of the interval.
        seed: of the resamples.

    Returns:
        {"n", "n_positive", and for each metric {"value", "ci": [low, high]}}.

    Raises:
        DataError: all patients are of one class.
    """
    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
    _two_classes(labels, "AUC and balanced accuracy")
    decisions = (logits > threshold).astype(int)
    values = {
        "balanced_accuracy": balanced_accuracy_score(labels, decisions),
        "auc": roc_auc_score(labels, logits),
        "sensitivity": recall_score(labels, decisions, pos_label=1),
        "specificity": recall_score(labels, decisions, pos_label=0),
    }
    resampled = resampled_metrics(logits[labels == 1], logits[labels == 0], threshold, bootstrap, seed)
    result: dict[str, Any] = {"n": len(labels), "n_positive": int(labels.sum())}
    for name, value in values.items():
        result[name] = {"value": float(value), "ci": percentiles(resampled[name], confidence)}
    return result


def resampled_metrics(
    positive: np.ndarray, negative: np.ndarray, threshold: float, bootstrap: int, seed: int
) -> dict[str, np.ndarray | list[float]]:
    """The metrics of each resample, computed from the contributions of patients and pairs of patients.

    For as many patients of each class, the same seed draws the same ones. scikit-learn takes milliseconds per
    call to check its arguments, which is slow for a thousand resamples.
    """
    rng = np.random.default_rng(seed)
    positive_draws = rng.integers(0, len(positive), (bootstrap, len(positive)))
    negative_draws = rng.integers(0, len(negative), (bootstrap, len(negative)))
    sensitivity = (positive > threshold)[positive_draws].mean(axis=1)
    specificity = (negative <= threshold)[negative_draws].mean(axis=1)
    # AUC is the share of pairs in the right order; a tie counts half.
    order = (np.sign(positive[:, None] - negative) + 1) / 2
    auc = [order[np.ix_(p, n)].mean() for p, n in zip(positive_draws, negative_draws)]
    return {
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "auc": auc,
        "sensitivity": sensitivity,
        "specificity": specificity,
    }


def _two_classes(labels: np.ndarray, what: str) -> None:
    classes = np.unique(labels)
    if not np.array_equal(classes, [0, 1]):
        raise DataError(
            f"{what[0].upper()}{what[1:]} needs patients of both classes, 0 and 1. "
            f"Received: only labels {classes.tolist()} among {len(labels)} patients. Use a larger split."
        )
