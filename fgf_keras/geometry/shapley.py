"""Shapley values of a share, from its values for all subsets of features; NumPy only."""

import math

import numpy as np

# Exact Shapley values need the share of all 2^m subsets.
MOST_FEATURES_FOR_SHAPLEY = 10


def all_subsets(count: int) -> np.ndarray:
    """All subsets of `count` features, (2^count, count) of 0 and 1; the first is empty, the last has all."""
    return (np.arange(2**count)[:, None] >> np.arange(count)) & 1


def shapley_weights(count: int) -> np.ndarray:
    """Weights (2^count, count) with which the shares of `all_subsets` add up to Shapley values.

    φ_i = Σ_{T∌i} |T|! (m-|T|-1)!/m! (S_{T∪i} - S_T), the average gain of adding i over all orders.

    Raises:
        ValueError: more than `MOST_FEATURES_FOR_SHAPLEY` features.
    """
    if count > MOST_FEATURES_FOR_SHAPLEY:
        raise ValueError(
            f"Exact Shapley shares take 2^m subsets, so at most {MOST_FEATURES_FOR_SHAPLEY} features. "
            f"Received: {count} features."
        )
    subsets = all_subsets(count)
    others = subsets.sum(axis=1, keepdims=True) - subsets
    factorial = np.array([math.factorial(k) for k in range(count + 1)], np.float64)
    weights = factorial[others] * factorial[count - others - 1] / factorial[count]
    return np.where(subsets == 1, weights, -weights)
