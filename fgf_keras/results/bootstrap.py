"""Means over patients with bootstrap intervals."""

from typing import Any

import numpy as np


def bootstrap_mean(
    values: np.ndarray, *, bootstrap: int, confidence: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Mean with its percentile interval, {"mean", "ci": [low, high]}; all None if there are no values.

    Args:
        values: (N,) one per patient, none of them NaN.
        bootstrap: number of resamples of patients.
        confidence: of the interval.
        rng: of the resamples.
    """
    values = np.asarray(values, np.float64)
    if not len(values):
        return {"mean": None, "ci": [None, None]}
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(bootstrap)]
    return {"mean": float(values.mean()), "ci": percentiles(means, confidence)}


def known_mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean over an axis, ignoring NaN; NaN if all values are."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    total = np.where(defined, values, 0).sum(axis=axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def percentiles(resampled: np.ndarray | list[float], confidence: float) -> list[Any]:
    """The central interval [low, high] that contains the share `confidence` of the values, over axis 0."""
    return np.percentile(resampled, [50 * (1 - confidence), 50 * (1 + confidence)], axis=0).tolist()
