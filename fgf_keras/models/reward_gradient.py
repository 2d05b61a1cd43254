"""The weight gradient of an alignment reward from first derivatives alone."""

import tensorflow as tf

from fgf_keras.geometry.products import inner, per_sample
from fgf_keras.geometry.sections import section_scores
from fgf_keras.models.input_gradient import Classifier, as_logits

# Half the step of a central difference, as a fraction of the norm of the classifier's image: rounding errors
# grow as it shrinks, and the error from the third derivative grows with its square.
STEP = {tf.float32: 3e-2, tf.float64: 1e-5}


def difference_of_gradients(classifier: Classifier, image: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
    """A number whose weight gradient is that of Σ_b Σ_k ⟨u_bk, ∇_x z_k(x_b)⟩, without a second derivative.

    `Σ_b Σ_k ‖u_bk‖ [z_k(x_b + h û_bk) - z_k(x_b - h û_bk)] / 2h`, with û = u/‖u‖ and h a fixed fraction of
    ‖x_b‖ (`STEP`). With a constant u = ∂reward/∂∇_x z, its weight gradient is that of the reward, up to O(h²)
    on smooth networks. On networks with kinks (ReLU, max pooling) it counts the switches within the step,
    which the second derivative does not see.

    Args:
        classifier: callable (image, training) to logits (B, 1) or (B, K).
        image: (B, …, C), what the classifier sees.
        directions: (B, R, …, C), u of each section score.

    Returns:
        A scalar.
    """
    norm = tf.sqrt(inner(image, image))
    step = STEP[image.dtype] * tf.where(norm > 0, norm, tf.ones_like(norm))
    total = tf.zeros([], image.dtype)
    for k, direction in enumerate(tf.unstack(tf.stop_gradient(directions), axis=1)):
        size = tf.sqrt(inner(direction, direction))
        along = per_sample(tf.math.divide_no_nan(step, size), direction) * direction
        ahead, behind = (
            section_scores(as_logits(classifier(image + sign * along, training=False)))[:, k]
            for sign in (1.0, -1.0)
        )
        total += tf.reduce_sum(size / (2 * step) * tf.cast(ahead - behind, image.dtype))
    return total
