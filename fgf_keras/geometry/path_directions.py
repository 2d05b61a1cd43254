"""The directions of the gradient along a path, for fields that stay the same on it."""

import tensorflow as tf

from fgf_keras.geometry.path_average import parabola, simpson
from fgf_keras.geometry.products import inner_products, weighted_sum

# Fields that hold the directions of the gradient along a path: all of them for up to three steps.
DIRECTIONS = 8


class PathDirections:
    """The directions of the gradient along the paths of a batch: A = ∫ ĝĝᵀ ds/∫ds, ĝ = ∇z/‖∇z‖.

    A field v that does not change along the path has F = vᵀAv/‖v‖², and m of them the joint F = tr(P A) with
    P the projector on their span: what random fields reach is known without following a path again. The
    gradient is the parabola of `PathAverage`, so a step adds three fields; A = Σ_k u_k u_kᵀ is held as its
    `DIRECTIONS` largest parts.

    Args:
        weight: "arc" for ds, "score" for dτ, or None to hold nothing.
    """

    def __init__(self, weight):
        self._power = {"arc": 1.5, "score": 1.0, None: 1.0}[weight]
        self._count = 0 if weight is None else DIRECTIONS

    def nothing(self, image):
        """The fields u_k before the first step, (B, k, H, W, C)."""
        return tf.zeros_like(image)[:, tf.newaxis] * tf.ones([1, self._count, 1, 1, 1], image.dtype)

    def plus_step(self, gradients, gram, fields, intervals):
        """The fields with one more step on Simpson's points; gradients and gram as for `PathAverage`."""
        if not self._count:
            return fields
        index = tf.range(intervals + 1)
        weight = tf.cast(simpson(index, intervals), tf.float64)
        basis = parabola(tf.cast(index, tf.float64) / tf.cast(intervals, tf.float64))
        size = tf.einsum("pi,bij,pj->bp", basis, gram, basis)
        weight *= tf.math.divide_no_nan(tf.ones_like(size), tf.maximum(size, 0) ** self._power)
        values, vectors = _eigh(tf.einsum("bp,pi,pj->bij", weight, basis, basis))
        roots = tf.sqrt(tf.maximum(values, 0))[:, :, tf.newaxis] * tf.linalg.matrix_transpose(vectors)
        step = weighted_sum(tf.cast(roots, fields.dtype), gradients)
        return self._largest(tf.concat([fields, step], axis=1))

    def _largest(self, fields):
        """Orthogonal fields of the same A, the largest of them."""
        _, vectors = _eigh(tf.cast(inner_products(fields, fields), tf.float64))
        turn = tf.linalg.matrix_transpose(vectors[:, :, -self._count :])
        return tf.ensure_shape(
            weighted_sum(tf.cast(turn, fields.dtype), fields), [None, self._count, *fields.shape[2:]]
        )


def _eigh(matrix):
    """Eigenvalues and vectors; of zero where an entry is not finite, so that a bad sample is bad alone."""
    finite = tf.reduce_all(tf.math.is_finite(matrix), axis=[1, 2], keepdims=True)
    return tf.linalg.eigh(tf.where(finite, matrix, tf.zeros_like(matrix)))
