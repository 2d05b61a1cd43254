"""The gradients of one patient that null fields are compared with, in a rectangle around the mask."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fgf_keras.nulls.fields import moved_fields
from fgf_keras.nulls.partial import WithoutOthers
from fgf_keras.nulls.white import fixed_field_alignment


class FieldShares(NamedTuple):
    """The shares of n draws of m null fields in one patient.

    Attributes:
        S, F: (n, m + 1); the last column is the joint share.
        partial: (n, m), partial shares, see `geometry.partial`; NaN where they are undefined.
    """

    S: np.ndarray
    F: np.ndarray
    partial: np.ndarray


class BoxedGradients:
    """The gradients of one patient in the smallest rectangle around the mask.

    Args:
        part: the arrays null_… of `AlignmentMeasure.at_sample` and `.along_flow` for this patient.
        dimension: pixels times channels of the support.

    Attributes:
        mask: (rows, columns) bool.
        features: (m, rows, columns, C), ∇g of the features, zero outside the mask.
        count: m.
        shape: (rows, columns, C).
        dimension: the argument of that name.
        grams: by "S" and "F", (k, k), ⟨u_k, u_l⟩ of the directions over the whole support.
        directions: by "S" and "F", (k, d), u_k inside the mask.
        without_others: the section of "S" without the other features, for each feature.
    """

    def __init__(self, part: dict[str, np.ndarray], dimension: int) -> None:
        inside = part["null_mask"][..., 0] > 0
        box = tuple(slice(places.min(), places.max() + 1) for places in np.nonzero(inside))
        self.mask = inside[box]
        self.features = part["null_features"][:, *box] * self.mask[..., np.newaxis]
        self.count, *shape = self.features.shape
        self.shape = tuple(shape)
        self.dimension = int(dimension)
        self.grams = {kind: part[f"null_{kind}_gram"] for kind in "SF"}
        self.directions = {
            kind: part[f"null_{kind}"][:, *box][:, self.mask].reshape(len(self.grams[kind]), -1)
            for kind in "SF"
        }
        self.without_others = WithoutOthers(part["null_products"], self.count)
        self._places = np.flatnonzero(np.broadcast_to(self.mask[..., np.newaxis], self.shape))

    def shares(self, fields: tf.Tensor) -> FieldShares:
        """The shares of fields (n, m, rows, columns, C) restricted to the mask."""
        flat = tf.reshape(fields, [-1, self.count, int(np.prod(self.shape))])
        return self._compared(tf.gather(flat, self._places, axis=2))

    def moved_shares(self, others: Sequence["BoxedGradients"]) -> FieldShares:
        """The shares of the feature gradients of n other patients in this patient's frame."""
        fields = np.stack([moved_fields(other.features, other.mask, self.mask) for other in others])
        return self._compared(tf.constant(fields.reshape(len(others), self.count, -1)))

    def _compared(self, fields: tf.Tensor) -> FieldShares:
        S, F = (
            fixed_field_alignment(self.directions[kind], self.grams[kind], fields).numpy() for kind in "SF"
        )
        return FieldShares(S, F, self._partial(tf.cast(fields, tf.float64)))

    def _partial(self, fields: tf.Tensor) -> np.ndarray:
        """Partial shares of fields (n, m, d) at the pixels of the mask, (n, m)."""
        features = self.features[:, self.mask].reshape(self.count, -1)
        compared = np.concatenate([self.directions["S"], features]).astype(np.float64)
        flat = tf.reshape(fields, [-1, fields.shape[2]])
        cross = tf.reshape(tf.matmul(flat, compared, transpose_b=True), [-1, self.count, len(compared)])
        squares = tf.reduce_sum(fields**2, axis=2)
        return self.without_others.shares(cross.numpy(), squares.numpy())
