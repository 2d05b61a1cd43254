"""Sections: the directions in image space in which a decision among K classes changes.

They are the row space of the Jacobian of the centred logits, of dimension K-1; the fibres are its kernel.
Centred, because a constant added to all logits changes no probability. K-1 orthonormal contrasts of the
logits have the same row space and no redundant row.
"""

import numpy as np
import tensorflow as tf


def contrasts(classes: int) -> np.ndarray:
    """Helmert contrasts, (K-1, K) float64: orthonormal rows, each of sum zero; HᵀH is the centring matrix."""
    rows = np.zeros((classes - 1, classes))
    for k in range(1, classes):
        # The sign makes the contrast of two classes grow with the second, as a single logit does.
        rows[k - 1, :k] = -1 / np.sqrt(k * (k + 1))
        rows[k - 1, k] = k / np.sqrt(k * (k + 1))
    return rows


def section_scores(logits: tf.Tensor) -> tf.Tensor:
    """The scores whose gradients span the section: a single logit as it is, else contrasts of K logits.

    Args:
        logits: (B, 1) or (B, K).

    Returns:
        (B, 1) or (B, K-1).
    """
    if logits.shape[-1] == 1:
        return logits
    return tf.matmul(logits, tf.constant(contrasts(logits.shape[-1]).T, logits.dtype))


def decision_pair(logits: tf.Tensor) -> tf.Tensor:
    """The two classes between which the decision is closest, (B, 2) int32: top class and runner-up.

    For two classes always (1, 0), and for a single logit (0, 0), so that the score keeps its sign.
    """
    count = tf.shape(logits)[0]
    if logits.shape[-1] <= 2:
        pair = [0, 0] if logits.shape[-1] == 1 else [1, 0]
        return tf.tile(tf.constant([pair], tf.int32), [count, 1])
    return tf.math.top_k(logits, k=2).indices


def decision_score(logits: tf.Tensor, pair: tf.Tensor) -> tf.Tensor:
    """The score z whose zero is the decision boundary, (B,).

    The logit for two classes, the margin between the two classes of `pair` otherwise.
    """
    if logits.shape[-1] == 1:
        return logits[:, 0]
    closest = tf.gather(logits, pair, batch_dims=1)
    return closest[:, 0] - closest[:, 1]


def decision_weights(logits: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The decision's score as a linear combination of the contrasts of K logits: its weights, (B, K-1)."""
    top, other = tf.unstack(decision_pair(logits), axis=1)
    one, two = (tf.one_hot(index, logits.shape[1], dtype=dtype) for index in (top, other))
    return tf.matmul(one - two, tf.constant(contrasts(logits.shape[1]).T, dtype))
