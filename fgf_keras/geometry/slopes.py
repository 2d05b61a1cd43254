"""Signed effects of features: how much the score changes per unit of a feature, from inner products alone.

Everything here is about one score z (R = 1): that of the decision, or the centred logit of one class.
"""

import tensorflow as tf

from fgf_keras.geometry.alignment import Products, normalised_features, pseudo_inverse
from fgf_keras.geometry.sections import decision_weights


def decision_products(products: Products, logits: tf.Tensor) -> Products:
    """The products of the gradient of the decision's score, (B, 1, …), from those of the section.

    Args:
        products: of the section, with R = 1 or K-1.
        logits: (B, 1) or (B, K).
    """
    if logits.shape[1] == 1:
        return products
    weights = decision_weights(logits, products.cross.dtype)
    gram = tf.einsum("br,brs,bs->b", weights, products.section, weights)[:, tf.newaxis, tf.newaxis]
    cross = tf.einsum("br,bri->bi", weights, products.cross)[:, tf.newaxis]
    return Products(gram, cross, products.features)


def slopes(products: Products) -> tf.Tensor:
    """c = G⁺⟨∇g, ∇z⟩, (B, m): change of the score per unit of feature i with the other features held.

    The coefficients of the least-squares expansion of ∇z in the feature gradients, G their Gram matrix.
    Collinear features share what they explain (the solution of least norm for unit gradients). NaN where ∇g_i
    vanishes, or where the slope overflows float32. Σ_i c_i⟨∇g_i, ∇z⟩ = S_joint ‖∇z‖². Source: Bai et al.,
    "Concept Gradient" (ICLR 2023), joint mode.
    """
    return _finite(_unit_slopes(products) / _feature_norms(products))


def slopes_alone(products: Products) -> tf.Tensor:
    """⟨∇g_i, ∇z⟩/‖∇g_i‖², (B, m): change of the score per unit of feature i in the direction of its gradient.

    Other features change along with it. NaN where ∇g_i vanishes, or where the slope overflows float32.
    """
    return _finite(products.cross[:, 0] / tf.linalg.diag_part(products.features))


def share_split(products: Products) -> tf.Tensor:
    """c_i⟨∇g_i, ∇z⟩/‖∇z‖², (B, m): the joint share split by the slopes, so that it sums to S_joint.

    Negative for a feature whose effect is opposite with the others held; 0 where ∇z vanishes.
    """
    along = tf.math.divide_no_nan(products.cross[:, 0], _feature_norms(products))
    return tf.math.divide_no_nan(_unit_slopes(products) * along, products.section[:, 0])


def _finite(slope: tf.Tensor) -> tf.Tensor:
    representable = tf.abs(slope) <= tf.cast(tf.float32.max, slope.dtype)
    return tf.where(representable, slope, tf.constant(float("nan"), slope.dtype))


def _unit_slopes(products: Products) -> tf.Tensor:
    """The coefficients of the unit feature gradients, (B, m)."""
    inverse, _ = pseudo_inverse(normalised_features(products))
    along = tf.math.divide_no_nan(products.cross[:, 0], _feature_norms(products))
    return tf.linalg.matvec(inverse, along)


def _feature_norms(products: Products) -> tf.Tensor:
    return tf.sqrt(tf.linalg.diag_part(products.features))
