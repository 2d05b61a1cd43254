"""Signed cosines between the gradient of a two-class score and directions that features span."""

import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.geometry.alignment import Products


def differentiable_cosines(products: Products, weights: tf.Tensor, epsilon: float) -> tf.Tensor:
    """cos(∇z, t_j) of ∇z with t_j = Σ_i w_ij ∇g_i, (B, k) in [-1, 1], smooth in ∇z.

    ⟨∇z, t_j⟩ / (√(‖∇z‖² + ε) ‖t_j‖). The feature gradients are constants. It is 0 where ∇z or t_j vanishes.

    Args:
        products: of a batch, with R = 1.
        weights: w, (m, k); per unit of each feature.
        epsilon: ε as a fraction of the batch's mean ‖∇z‖².

    Raises:
        ModelError: more than two classes, for which no single gradient has a sign.
    """
    if products.section.shape[-1] != 1:
        raise ModelError(
            "A reward with signs needs a score of two classes: (B, 1) or (B, 2) logits. Received: "
            f"{products.section.shape[-1] + 1} classes. Use the reward 'sum' or 'joint'."
        )
    weights = tf.cast(weights, products.cross.dtype)
    squared = products.section[:, 0, 0]
    size = tf.reduce_mean(tf.stop_gradient(squared))
    size = tf.where((size > 0) & tf.math.is_finite(size), size, tf.ones_like(size))
    norm = tf.sqrt(squared + tf.cast(epsilon, squared.dtype) * size)[:, tf.newaxis]
    along = tf.matmul(products.cross[:, 0], weights)
    length = tf.einsum("ik,bij,jk->bk", weights, products.features, weights)
    # Rounding may leave a length that is not quite zero, and below it.
    length = tf.sqrt(tf.maximum(tf.stop_gradient(length), 0))
    return tf.math.divide_no_nan(along, norm * length)
