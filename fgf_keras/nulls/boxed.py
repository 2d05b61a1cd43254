"""The gradients of one patient that null fields are compared with, in a box around the mask."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import tensorflow as tf

from fgf_keras.nulls.fields import moved_fields
from fgf_keras.nulls.partial import WithoutOthers
from fgf_keras.nulls.white import fixed_field_alignment


class FieldShares(NamedTuple):
    """The shares of n draws of m null fields in one patient.

    Attributes:
        S, F: (n, m + 1); the last column is the joint share. F is None if no path was followed.
        partial: (n, m), partial shares, see `geometry.partial`; NaN where they are undefined.
    """

    S: np.ndarray
    F: np.ndarray | None
    partial: np.ndarray

    @classmethod
    def together(cls, portions: Sequence[Self], count: int | None = None) -> Self:
        """The first `count` draws of several portions; all by default."""

        def joined(values: Sequence[Any]) -> Any:
            return None if values[0] is None else np.concatenate(values)[:count]

        return cls(*(joined(values) for values in zip(*portions)))


class BoxedGradients:
    """The gradients of one patient in the smallest box around the mask.

    Args:
        part: the arrays null_… of `AlignmentMeasure.at_sample` and `.along_flow` for this patient, with any
            number of spatial axes; those of F are missing if no path was followed.
        dimension: pixels times channels of the support.

    Attributes:
        mask: (*edges,) bool.
        features: (m, *edges, C), ∇g of the features, zero outside the mask.
        count: m.
        shape: (*edges, C), e.g. (rows, columns, C).
        dimension: the argument of that name.
        grams: by "S" and, if measured, "F", (k, k), ⟨u_k, u_l⟩ of the directions over the whole support.
        directions: by "S" and "F" as well, (k, d), u_k inside the mask.
        without_others: the section of "S" without the other features, for each feature.
    """

    def __init__(self, part: dict[str, np.ndarray], dimension: int) -> None:
        inside = np.asarray(part["null_mask"][..., 0] > 0)
        box = tuple(slice(places.min(), places.max() + 1) for places in np.argwhere(inside).T)
        self.mask = inside[box]
        self.features = part["null_features"][:, *box] * self.mask[..., np.newaxis]
        self.count, *shape = self.features.shape
        self.shape = tuple(shape)
        self.dimension = int(dimension)
        self.grams = {kind: part[f"null_{kind}_gram"] for kind in "SF" if f"null_{kind}" in part}
        self.directions = {
            kind: part[f"null_{kind}"][:, *box][:, self.mask].reshape(len(self.grams[kind]), -1)
            for kind in self.grams
        }
        self.without_others = WithoutOthers(part["null_products"], self.count)
        self._places = np.flatnonzero(np.broadcast_to(self.mask[..., np.newaxis], self.shape))

    def shares(self, fields: tf.Tensor) -> FieldShares:
        """The shares of fields (n, m, *edges, C) restricted to the mask."""
        flat = tf.reshape(fields, [-1, self.count, int(np.prod(self.shape))])
        return self._compared(tf.gather(flat, self._places, axis=2))

    def moved_shares(self, others: Sequence["BoxedGradients"]) -> FieldShares:
        """The shares of the feature gradients of n other patients in this patient's frame."""
        fields = np.stack([moved_fields(other.features, other.mask, self.mask) for other in others])
        return self._compared(tf.constant(fields.reshape(len(others), self.count, -1)))

    def _compared(self, fields: tf.Tensor) -> FieldShares:
        shares = {
            kind: fixed_field_alignment(self.directions[kind], gram, fields).numpy()
            for kind, gram in self.grams.items()
        }
        return FieldShares(shares["S"], shares.get("F"), self._partial(tf.cast(fields, tf.float64)))

    def _partial(self, fields: tf.Tensor) -> np.ndarray:
        """Partial shares of fields (n, m, d) at the pixels of the mask, (n, m)."""
        features = self.features[:, self.mask].reshape(self.count, -1)
        compared = np.concatenate([self.directions["S"], features]).astype(np.float64)
        flat = tf.reshape(fields, [-1, fields.shape[2]])
        cross = tf.reshape(tf.matmul(flat, compared, transpose_b=True), [-1, self.count, len(compared)])
        squares = tf.reduce_sum(fields**2, axis=2)
        return self.without_others.shares(cross.numpy(), squares.numpy())
