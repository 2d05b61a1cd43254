"""The directions of a path, for fields that stay the same on it."""

import tensorflow as tf

from fgf_keras.geometry.products import inner_products, weighted_sum

# Fields that hold the directions of a path: all of them for up to as many chords.
DIRECTIONS = 8


class PathDirections:
    """The directions of the paths of a batch: A = ∫ d dᵀ ds/∫ds, with d the unit direction of the path.

    A field v that does not change along the path has F = vᵀAv/‖v‖², and m of them the joint F = tr(P A) with
    P the projector on their span: what random fields reach is known without following a path again. A chord
    adds one field; A = Σ_k u_k u_kᵀ is held as its `DIRECTIONS` largest parts.

    Args:
        average: "arc" for ds, "score" for dτ, or None to hold nothing.
    """

    def __init__(self, average: str | None) -> None:
        self._average = average
        self._count = 0 if average is None else DIRECTIONS

    def nothing(self, image: tf.Tensor) -> tf.Tensor:
        """The fields u_k before the first chord, (B, k, H, W, C)."""
        return tf.zeros_like(image)[:, tf.newaxis] * tf.ones([1, self._count, 1, 1, 1], image.dtype)

    def plus_chord(
        self, fields: tf.Tensor, direction: tf.Tensor, length: tf.Tensor, drop: tf.Tensor
    ) -> tf.Tensor:
        """The fields with a chord more: its unit direction (B, H, W, C), length and drop (B,), 0 for none."""
        if not self._count:
            return fields
        weight = tf.sqrt(tf.maximum(length if self._average == "arc" else drop, 0))
        chord = direction * tf.reshape(weight, [-1, 1, 1, 1])
        return self._largest(tf.concat([fields, chord[:, tf.newaxis]], axis=1))

    def _largest(self, fields: tf.Tensor) -> tf.Tensor:
        """Orthogonal fields of the same A, the largest of them."""
        gram = tf.cast(inner_products(fields, fields), tf.float64)
        # A sample that is not finite is bad alone.
        finite = tf.reduce_all(tf.math.is_finite(gram), axis=[1, 2], keepdims=True)
        _, vectors = tf.linalg.eigh(tf.where(finite, gram, tf.zeros_like(gram)))
        turn = tf.linalg.matrix_transpose(vectors[:, :, -self._count :])
        return tf.ensure_shape(
            weighted_sum(tf.cast(turn, fields.dtype), fields), [None, self._count, *fields.shape[2:]]
        )
