"""A `LateFusion` whose image part is computed in windows around the tumours."""

from typing import NamedTuple

import tensorflow as tf

from fgf_keras.models.late_fusion import LateFusion
from fgf_keras.models.window.roi_cnn import RoiCnn
from fgf_keras.models.window.size_groups import SizeGroups


class FusedRoiCnn:
    """The logits of a `LateFusion` from windows of its images, by its own layers and weights.

    Args:
        fusion: the model.

    Raises:
        ModelError: the image part cannot be computed in a window, see `RoiCnn`.
    """

    def __init__(self, fusion: LateFusion) -> None:
        self.image_part, self.clinical_part = RoiCnn(fusion.image_part), fusion.clinical_part
        self.canvas = self.image_part.canvas

    def at(self, origin: tf.Tensor, clinical: tf.Tensor, *, groups: SizeGroups | None = None) -> "_FusedAt":
        """The classifier of windows at origins (B, 2), with the clinical columns (B, k) held."""
        return _FusedAt(self, origin, clinical, groups)


class _FusedAt(NamedTuple):
    """`FusedRoiCnn` for fixed origins and clinical columns, with the interface of a classifier."""

    network: FusedRoiCnn
    origin: tf.Tensor
    clinical: tf.Tensor
    groups: SizeGroups | None

    def __call__(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        image_part = self.network.image_part
        logits = image_part.logits(image, self.origin, training=training, groups=self.groups)
        held = self.network.clinical_part(self.clinical, training=training)
        return logits + tf.cast(held, logits.dtype)

    @property
    def compute_dtype(self) -> str:
        return self.network.image_part.compute_dtype
