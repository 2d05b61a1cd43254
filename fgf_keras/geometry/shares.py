"""The joint share split among the features: unique shares and Shapley shares."""

import math

import numpy as np
import tensorflow as tf

from fgf_keras.geometry.alignment import Products, explained_share, normalised_features

# Exact Shapley shares need the joint share of all 2^m subsets.
MOST_FEATURES_FOR_SHAPLEY = 10


def unique_shares(products: Products) -> tf.Tensor:
    """unique_i = S - S_without_i, (B, m), ≥ 0: what only feature i explains."""
    count = products.features.shape[-1]
    without = 1 - np.eye(count)
    shares = _subset_shares(products, np.concatenate([np.ones((1, count)), without]))
    return tf.maximum(shares[:, :1] - shares[:, 1:], 0)


def shapley_shares(products: Products) -> tf.Tensor:
    """Shapley shares of the joint alignment, (B, m): they sum to S.

    φ_i = Σ_{T∌i} |T|! (m-|T|-1)!/m! (S_{T∪i} - S_T), exact over all subsets.

    Raises:
        ValueError: more than `MOST_FEATURES_FOR_SHAPLEY` features.
    """
    count = products.features.shape[-1]
    if count > MOST_FEATURES_FOR_SHAPLEY:
        raise ValueError(
            f"Exact Shapley shares take 2^m subsets, so at most {MOST_FEATURES_FOR_SHAPLEY} features. "
            f"Received: {count} features."
        )
    subsets = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    sizes = subsets.sum(axis=1)
    weights = np.zeros((2**count, count))
    for subset, (members, size) in enumerate(zip(subsets, sizes)):
        for i in range(count):
            others = size - members[i]
            weight = math.factorial(others) * math.factorial(count - others - 1) / math.factorial(count)
            weights[subset, i] = weight if members[i] else -weight
    shares = _subset_shares(products, subsets)
    return tf.matmul(shares, tf.constant(weights, shares.dtype))


def _subset_shares(products: Products, subsets: np.ndarray) -> tf.Tensor:
    """The joint share of each subset of features, (B, number of subsets); `subsets` is 0/1, one row each."""
    subsets = tf.constant(subsets, products.features.dtype)
    gram = normalised_features(products)[:, tf.newaxis] * subsets[:, :, tf.newaxis] * subsets[:, tf.newaxis]
    return explained_share(products, gram)
