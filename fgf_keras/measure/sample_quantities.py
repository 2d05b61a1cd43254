"""The quantities measured at the samples themselves, from inner products alone."""

import tensorflow as tf

from fgf_keras.geometry.alignment import (
    Products,
    class_products,
    joint_alignment,
    normalised_features,
    only_defined,
    pointwise_alignment,
    pseudo_inverse,
    section_rank,
)
from fgf_keras.geometry.partial import partial_shares
from fgf_keras.geometry.sections import contrasts, decision_pair, decision_score
from fgf_keras.geometry.shapley import MOST_FEATURES_FOR_SHAPLEY
from fgf_keras.geometry.shares import shapley_shares, unique_shares
from fgf_keras.geometry.slopes import decision_products, slopes, slopes_alone

# Measured for the centred logit of each class as well.
_OF_EACH_CLASS = {
    "S": pointwise_alignment,
    "S_joint": joint_alignment,
    "slope": slopes,
    "slope_alone": slopes_alone,
}
# The last axis of these has one entry per feature.
_OF_EACH_FEATURE = {
    *("S", "unique", "shapley", "partial", "slope", "slope_alone"),
    *("S_class", "slope_class", "slope_alone_class"),
}


def quantities_at_sample(
    products: Products, logits: tf.Tensor, defined: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """Logits and alignment at the samples.

    logits (B, 1 or K), logit (B,), the decision's score, class (B,), gradient_norm (B,) of that score
    on the support, S (B, m), S_joint (B,), unique (B, m), shapley (B, m) for up to ten features, rank (B,) of
    the features, section_rank (B,), partial (B, m) with rank_others and rank_without_others (B, m), those of
    the other features and of the section without them (see `geometry.partial`), slope and slope_alone (B, m)
    of that score (see `geometry.slopes`); for K > 2 also S_class, slope_class and slope_alone_class
    (B, K, m), S_joint_class (B, K).

    Args:
        products: of the section and the features, on the support.
        logits: (B, 1) or (B, K).
        defined: (B, m) bool, whether each feature and its gradient are finite numbers; all by default. What
            is said of a feature that is not is NaN; the joint share is that of the others.
    """
    classes, count = logits.shape[1], products.features.shape[-1]
    decision = decision_products(products, logits)
    partial = partial_shares(products)
    result = {
        "logits": logits,
        "logit": decision_score(logits, decision_pair(logits)),
        "class": tf.cast(logits[:, 0] > 0, tf.int32) if classes == 1 else tf.argmax(logits, 1, tf.int32),
        "gradient_norm": tf.sqrt(tf.maximum(decision.section[:, 0, 0], 0)),
        "S": pointwise_alignment(products),
        "S_joint": joint_alignment(products),
        "unique": unique_shares(products),
        "partial": partial.share,
        "rank_others": tf.cast(partial.rank_others, tf.int32),
        "rank_without_others": tf.cast(partial.rank_section, tf.int32),
        "rank": tf.cast(pseudo_inverse(normalised_features(products))[1], tf.int32),
        "section_rank": tf.cast(section_rank(products), tf.int32),
        "slope": slopes(decision),
        "slope_alone": slopes_alone(decision),
    }
    if count <= MOST_FEATURES_FOR_SHAPLEY:
        result["shapley"] = shapley_shares(products)
    if classes > 2:
        by_class = class_products(products, contrasts(classes))
        for key, function in _OF_EACH_CLASS.items():
            result[f"{key}_class"] = tf.stack([function(p) for p in by_class], axis=1)
    if defined is not None:
        result |= {key: only_defined(result[key], defined) for key in _OF_EACH_FEATURE & result.keys()}
    return result
