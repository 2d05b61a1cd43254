"""Partial shares: what a feature explains of the part of ∇z that the other features leave unexplained."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fgf_keras.geometry.alignment import (
    Products,
    normalised_features,
    normalised_section,
    pseudo_inverse,
    rank_tolerance,
)


class PartialShares(NamedTuple):
    """Partial shares and the dimensions on which their law under white noise depends.

    Attributes:
        share: (B, m) in [0, 1].
        rank_others: (B, m), dimension of the span of the gradients of the other features.
        rank_section: (B, m), dimension of the section after these have been projected out; 0 where nothing
            is left of it.
    """

    share: tf.Tensor
    rank_others: tf.Tensor
    rank_section: tf.Tensor


def partial_shares(products: Products) -> PartialShares:
    """partial_i = ‖P_section⊥ ∇g_i⊥‖² / ‖∇g_i⊥‖², where ⊥ projects out the gradients of the other features.

    For R = 1 the squared cosine between ∇z⊥ and ∇g_i⊥, a squared partial correlation without intercept:
    (S_joint - S_without_i)/(1 - S_without_i). With a single feature it is S_i.

    0 where ∇g_i lies in the span of the others (‖∇g_i⊥‖² ≤ `RANK_TOLERANCE`·‖∇g_i‖²) or vanishes: it explains
    nothing of its own. NaN where nothing is left to explain: ∇z vanishes, or lies in the span of the others
    to the same tolerance. Directions of a section of R > 1 that lie in that span are left out of it.
    """
    count = products.features.shape[-1]
    basis, cross = normalised_section(products)
    gram = normalised_features(products)
    others = tf.constant(1 - np.eye(count), gram.dtype)
    # One Gram matrix for each feature left out, (B, m, m, m): its row and column are zero.
    inverse, rank_others = pseudo_inverse(
        gram[:, tf.newaxis] * others[:, :, tf.newaxis] * others[:, tf.newaxis]
    )
    # Coefficients of ∇g_i in the gradients of the others.
    weights = tf.einsum("bijk,bki->bij", inverse, gram)
    norm = tf.linalg.diag_part(gram)
    residual = norm - tf.einsum("bij,bji->bi", weights, gram)
    along = tf.transpose(cross, [0, 2, 1]) - tf.einsum("bij,bkj->bik", weights, cross)
    section = basis[:, tf.newaxis] - tf.einsum("bkj,bijl,bnl->bikn", cross, inverse, cross)
    section_inverse, rank_section = pseudo_inverse(section, size=1)
    explained = tf.einsum("bik,bikn,bin->bi", along, section_inverse, along)
    share = tf.math.divide_no_nan(explained, residual)
    share = tf.where(residual > rank_tolerance(gram.dtype), share, tf.zeros_like(share))
    nan = tf.constant(float("nan"), share.dtype)
    share = tf.where(rank_section > 0, tf.clip_by_value(share, 0, 1), nan)
    return PartialShares(share, rank_others, rank_section)
