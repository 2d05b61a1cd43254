"""The mean of the directions of a path, which gives F of fields that are constant along it."""

import tensorflow as tf

from fgf_keras.geometry.products import inner_products, per_sample, weighted_sum

# Number of fields that stand for the directions of a path; exact for paths of up to this many chords.
DIRECTIONS = 8


class PathDirections:
    """The directions of the paths of a batch: A = ∫ d dᵀ ds/∫ds, with d the unit direction of the path.

    A field v that does not change along the path has F = vᵀAv/‖v‖², and m of them the joint F = tr(P A) with
    P the projector on their span, so F of random fields is obtained without following the path again. Each
    chord adds one field; A = Σ_k u_k u_kᵀ is stored as its `DIRECTIONS` largest components.

    Args:
        average: "arc" for ds, "score" for dτ, or None to store nothing.
    """

    def __init__(self, average: str | None) -> None:
        self._average = average
        self._count = 0 if average is None else DIRECTIONS

    def nothing(self, image: tf.Tensor) -> tf.Tensor:
        """The fields u_k before the first chord, (B, k, H, W, C)."""
        return tf.tile(tf.zeros_like(image)[:, tf.newaxis], [1, self._count, *[1] * (len(image.shape) - 1)])

    def plus_chord(
        self, fields: tf.Tensor, direction: tf.Tensor, length: tf.Tensor, drop: tf.Tensor
    ) -> tf.Tensor:
        """The fields after one more chord: unit direction (B, H, W, C), length and drop (B,), 0 for none."""
        if not self._count:
            return fields
        weight = tf.sqrt(tf.maximum(length if self._average == "arc" else drop, 0))
        chord = direction * per_sample(weight, direction)
        return self._largest(tf.concat([fields, chord[:, tf.newaxis]], axis=1))

    def _largest(self, fields: tf.Tensor) -> tf.Tensor:
        """The largest of the orthogonal fields that have the same A."""
        gram = tf.cast(inner_products(fields, fields), tf.float64)
        # A sample that is not finite must not affect the others.
        finite = tf.reduce_all(tf.math.is_finite(gram), axis=[1, 2], keepdims=True)
        _, vectors = tf.linalg.eigh(tf.where(finite, gram, tf.zeros_like(gram)))
        rotation = tf.linalg.matrix_transpose(vectors[:, :, -self._count :])
        return tf.ensure_shape(
            weighted_sum(tf.cast(rotation, fields.dtype), fields), [None, self._count, *fields.shape[2:]]
        )
