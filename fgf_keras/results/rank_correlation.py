"""Spearman's rank correlation of many pairs of rows at once."""

import numpy as np
from scipy import stats


def rank_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each pair of rows of (..., n), (...); NaN where n < 2, or all values of a row are equal."""
    size = a.shape[-1]
    if size < 2:
        return np.full(a.shape[:-1], np.nan)
    a, b = (stats.rankdata(values, axis=-1) - (size + 1) / 2 for values in (a, b))
    scale = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    product = (a * b).sum(axis=-1)
    return np.asarray(np.divide(product, scale, out=np.full(np.shape(scale), np.nan), where=scale > 0))
