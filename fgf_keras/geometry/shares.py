"""The joint share split among the features: unique shares and Shapley shares."""

import numpy as np
import tensorflow as tf

from fgf_keras.geometry.alignment import Products, explained_share, normalised_features
from fgf_keras.geometry.shapley import all_subsets, shapley_weights


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
    weights = shapley_weights(count)
    shares = _subset_shares(products, all_subsets(count))
    return tf.matmul(shares, tf.constant(weights, shares.dtype))


def _subset_shares(products: Products, subsets: np.ndarray) -> tf.Tensor:
    """The joint share of each subset of features, (B, number of subsets); `subsets` is 0/1, one row each."""
    subsets = tf.constant(subsets, products.features.dtype)
    gram = normalised_features(products)[:, tf.newaxis] * subsets[:, :, tf.newaxis] * subsets[:, tf.newaxis]
    return explained_share(products, gram)
