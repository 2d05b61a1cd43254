"""Alignment of a section of the classifier with features, from inner products alone.

The section is the span of R gradients: the gradient of the logit for two classes (R = 1), the gradients of
K-1 contrasts of the logits for K classes (see `sections`). Everything here holds for any R.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fgf_keras.geometry.products import inner_products, weighted_sum

# Eigenvalues of a normalised Gram matrix count as zero unless they exceed this fraction of the largest one.
# Two features then count as one when the squared sine of their angle is below about four times that fraction.
RANK_TOLERANCE = {tf.float32: 1e-5, tf.float64: 1e-10}


class Products(NamedTuple):
    """Inner products of R section gradients and m feature gradients, on one support.

    Attributes:
        section: (B, R, R), ⟨∇z_k, ∇z_l⟩.
        cross: (B, R, m), ⟨∇z_k, ∇g_i⟩.
        features: (B, m, m), ⟨∇g_i, ∇g_j⟩.
    """

    section: tf.Tensor
    cross: tf.Tensor
    features: tf.Tensor

    def whole(self) -> tf.Tensor:
        """All of them as the Gram matrix of section and features together, (B, R + m, R + m)."""
        first = tf.concat([self.section, self.cross], axis=2)
        return tf.concat([first, tf.concat([tf.linalg.matrix_transpose(self.cross), self.features], 2)], 1)


def without_undefined(
    gram: tf.Tensor, rank: int, known: tf.Tensor | None = None
) -> tuple[Products, tf.Tensor]:
    """Products in which features of undefined gradients count as features that vanish.

    Args:
        gram: (B, R + m, R + m), of the section and the features together.
        rank: R.
        known: (B, m) bool, False for features that are undefined for another reason.

    Returns:
        The products, and (B, m) bool, whether each feature is defined.
    """
    defined = tf.math.is_finite(tf.linalg.diag_part(gram)[:, rank:])
    defined = defined if known is None else defined & known
    keep = tf.concat([tf.ones_like(gram[:, 0, :rank], tf.bool), defined], axis=1)
    both = keep[:, :, tf.newaxis] & keep[:, tf.newaxis]
    gram = tf.where(both, gram, tf.zeros_like(gram))
    products = Products(gram[:, :rank, :rank], gram[:, :rank, rank:], gram[:, rank:, rank:])
    return products, defined


def only_defined(values: tf.Tensor, defined: tf.Tensor) -> tf.Tensor:
    """Values (B, …, m) of features, NaN where `defined` (B, m) is not set."""
    defined = tf.reshape(defined, [tf.shape(defined)[0], *[1] * (len(values.shape) - 2), -1])
    return tf.where(defined, values, tf.constant(float("nan"), values.dtype))


def alignment_products(section_gradients: tf.Tensor, feature_gradients: tf.Tensor) -> Products:
    """The inner products that all alignments are computed from.

    Args:
        section_gradients: (B, R, H, W, C), already restricted to the support.
        feature_gradients: (B, m, H, W, C), already restricted to the support.
    """
    return Products(
        inner_products(section_gradients, section_gradients),
        inner_products(section_gradients, feature_gradients),
        inner_products(feature_gradients, feature_gradients),
    )


def pointwise_alignment(products: Products) -> tf.Tensor:
    """S_i = ‖P_section ∇g_i‖² / ‖∇g_i‖² in [0, 1], (B, m); the squared cosine when R = 1.

    NaN where ∇z vanishes, so that the section has no direction. 0 where ∇g_i vanishes: it explains nothing.
    Source: Jin, Garneau, Fletcher (ISBI 2022), section 2, for R = 1.
    """
    section, cross = _normalised(products)
    inverse, _ = pseudo_inverse(section)
    return _in_range(tf.einsum("bki,bkl,bli->bi", cross, inverse, cross), products)


def joint_alignment(products: Products) -> tf.Tensor:
    """S = ‖Q_sectionᵀ Q_features‖² / rank(section) in [0, 1], (B,): R² without intercept when R = 1.

    The mean squared cosine of the principal angles between the section and the span of the features.
    Collinear features count once (`RANK_TOLERANCE`). NaN where ∇z vanishes.
    """
    return explained_share(products, normalised_features(products)[:, tf.newaxis])[:, 0]


def section_rank(products: Products) -> tf.Tensor:
    """The dimension of the section, (B,): less than R where its gradients are linearly dependent."""
    return pseudo_inverse(_unit_diagonal(products.section))[1]


def explained_share(products: Products, grams: tf.Tensor) -> tf.Tensor:
    """The joint share for each of n normalised Gram matrices of the features, (B, n, m, m) to (B, n).

    A row and a column of zeros leave a feature out.
    """
    section, cross = _normalised(products)
    section_inverse, rank = pseudo_inverse(section)
    feature_inverse, _ = pseudo_inverse(grams)
    pairs = tf.einsum("bki,bkl,blj->bij", cross, section_inverse, cross)
    share = tf.einsum("bij,bnij->bn", pairs, feature_inverse)
    return _in_range(share / tf.maximum(rank, 1)[:, tf.newaxis], products)


def normalised_section(products: Products) -> tuple[tf.Tensor, tf.Tensor]:
    """Inner products of an orthonormal basis u_k of the section, rows of zeros where its rank is below R.

    Returns:
        ⟨u_k, u_l⟩ (B, R, R), and those with unit feature gradients (B, R, m).
    """
    section, cross = _normalised(products)
    values, vectors = tf.linalg.eigh(pseudo_inverse(section)[0])
    root = tf.sqrt(tf.maximum(values, 0))[..., tf.newaxis] * tf.linalg.matrix_transpose(vectors)
    gram = tf.matmul(tf.matmul(root, section), root, transpose_b=True)
    return gram, tf.matmul(root, cross)


def normalised_features(products: Products) -> tf.Tensor:
    """The Gram matrix of unit feature gradients, (B, m, m); rows of vanishing gradients are zero."""
    return _unit_diagonal(products.features)


def class_products(products: Products, contrasts: np.ndarray) -> list[Products]:
    """The products of the gradient of the centred logit of each class, (B, 1, …) each.

    Args:
        products: of the K-1 contrasts.
        contrasts: (K-1, K) orthonormal, from `sections.contrasts`.
    """
    basis = tf.cast(contrasts, products.cross.dtype)
    gram = tf.einsum("rk,brs,sk->bk", basis, products.section, basis)
    cross = tf.einsum("rk,bri->bki", basis, products.cross)
    return [
        Products(gram[:, k, None, None], cross[:, k, None], products.features) for k in range(basis.shape[1])
    ]


def differentiable_alignment(products: Products, epsilon: float) -> tuple[tf.Tensor, tf.Tensor]:
    """S_i (B, m) and the joint share (B,) for training, smooth in the section's gradients.

    S_i = c_iᵀ (G + ε)⁻¹ c_i, with G the Gram matrix of the section and c_i = ⟨∇z, ∇g_i⟩/‖∇g_i‖. The inner
    products of the features are constants. Because of the ε in the denominator, a vanishing ∇z gives 0 with a
    gradient of 0, so a mean over defined samples must leave such samples out.

    Args:
        products: of a batch.
        epsilon: ε as a fraction of the batch's mean ‖∇z‖², so that S does not depend on the score's scale.
    """
    norm = tf.sqrt(tf.linalg.diag_part(products.features))
    cross = tf.math.divide_no_nan(products.cross, norm[:, tf.newaxis])
    rank = products.section.shape[-1]
    size = tf.reduce_mean(tf.stop_gradient(tf.linalg.diag_part(products.section)))
    size = tf.where((size > 0) & tf.math.is_finite(size), size, tf.ones_like(size))
    ridge = tf.eye(rank, dtype=cross.dtype) * tf.cast(epsilon, cross.dtype) * size
    # R = 1 is by far the most common case, and a division is cheaper than a factorisation.
    solution = (
        cross / (products.section + ridge) if rank == 1 else tf.linalg.solve(products.section + ridge, cross)
    )
    inverse, _ = pseudo_inverse(_unit_diagonal(products.features))
    pairs = tf.matmul(cross, solution, transpose_a=True)
    joint = tf.reduce_sum(pairs * tf.stop_gradient(inverse), axis=[1, 2]) / rank
    return tf.linalg.diag_part(pairs), joint


def projection(fields: tf.Tensor, onto: tf.Tensor) -> tf.Tensor:
    """P v: the component of each field in the span of other fields.

    Args:
        fields: (B, k, H, W, C).
        onto: (B, m, H, W, C).

    Returns:
        (B, k, H, W, C). Collinear fields in `onto` count once.
    """
    inverse, scale = _unit_inverse(onto)
    inverse = inverse * scale[:, :, tf.newaxis] * scale[:, tf.newaxis]
    return weighted_sum(tf.matmul(inner_products(fields, onto), inverse), onto)


def orthonormal(fields: tf.Tensor) -> tf.Tensor:
    """Fields u_k (B, k, H, W, C) with Σ_k u_k u_kᵀ the projector on the span of `fields` (B, k, H, W, C)."""
    inverse, scale = _unit_inverse(fields)
    values, vectors = tf.linalg.eigh(inverse)
    root = tf.sqrt(tf.maximum(values, 0))[..., tf.newaxis] * tf.linalg.matrix_transpose(vectors)
    return weighted_sum(root * scale[:, tf.newaxis], fields)


def pseudo_inverse(gram: tf.Tensor, size: float | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Pseudo-inverse of positive semidefinite matrices (..., m, m) and their rank (...), by eigenvalues.

    Eigenvalues up to `RANK_TOLERANCE` times the largest one count as zero, or times `size` if it is given,
    for what is left of a matrix of that size. A matrix with entries that are not finite has rank 0, so that
    one bad sample does not make its whole batch fail.
    """
    finite = tf.reduce_all(tf.math.is_finite(gram), axis=[-2, -1])
    values, vectors = tf.linalg.eigh(tf.where(finite[..., None, None], gram, tf.zeros_like(gram)))
    largest = values[..., -1:] if size is None else tf.cast(size, gram.dtype)
    keep = (values > rank_tolerance(gram.dtype) * largest) & (values > 0)
    inverse = tf.where(keep, 1 / tf.where(keep, values, tf.ones_like(values)), tf.zeros_like(values))
    rank = tf.reduce_sum(tf.cast(keep, gram.dtype), axis=-1)
    return tf.matmul(vectors * inverse[..., tf.newaxis, :], vectors, transpose_b=True), rank


def rank_tolerance(dtype: tf.DType) -> tf.Tensor:
    """`RANK_TOLERANCE` as a tensor of its type."""
    return tf.cast(RANK_TOLERANCE[dtype], dtype)


def _unit_inverse(fields: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Pseudo-inverse of the Gram matrix of unit-normalised fields, (B, k, k), and 1/‖field‖, (B, k)."""
    gram = inner_products(fields, fields)
    scale = tf.math.divide_no_nan(tf.ones([], gram.dtype), tf.sqrt(tf.linalg.diag_part(gram)))
    return pseudo_inverse(_unit_diagonal(gram))[0], scale


def _unit_diagonal(gram: tf.Tensor) -> tf.Tensor:
    norm = tf.sqrt(tf.linalg.diag_part(gram))
    return tf.math.divide_no_nan(gram, norm[..., :, tf.newaxis] * norm[..., tf.newaxis, :])


def _normalised(products: Products) -> tuple[tf.Tensor, tf.Tensor]:
    """Section and cross products of unit-normalised gradients; rows of vanishing gradients are zero."""
    section_norm = tf.sqrt(tf.linalg.diag_part(products.section))
    feature_norm = tf.sqrt(tf.linalg.diag_part(products.features))
    cross = tf.math.divide_no_nan(
        products.cross, section_norm[:, :, tf.newaxis] * feature_norm[:, tf.newaxis, :]
    )
    return _unit_diagonal(products.section), cross


def _in_range(share: tf.Tensor, products: Products) -> tf.Tensor:
    """Shares clipped to [0, 1], against rounding errors; NaN where the section has no direction."""
    size = tf.linalg.trace(products.section)
    defined = tf.reshape((size > 0) & tf.math.is_finite(size), [-1] + [1] * (len(share.shape) - 1))
    nan = tf.constant(float("nan"), share.dtype)
    return tf.where(defined, tf.clip_by_value(share, 0, 1), nan)
