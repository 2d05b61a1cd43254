"""What a classifier sees of a batch: the whole canvas, or windows around the tumours with the same numbers.

Measurements on a batch are functions of a `View`. `placement.Placement` creates the views and decides where
the classifier is computed; no other code needs to know.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from fgf_keras.features.base import Feature, stack_gradients
from fgf_keras.geometry.windows import Edges, crop, edges_of, paste, window_around
from fgf_keras.models.input_gradient import Classifier, as_logits
from fgf_keras.models.window.fused import FusedRoiCnn
from fgf_keras.models.window.roi_cnn import RoiCnn
from fgf_keras.models.window.size_groups import SizeGroups


class View:
    """What a classifier sees of a batch, on the whole canvas.

    Attributes:
        classifier: callable of (image, training) to logits, for images like `image`.
        image: (B, …, C), what the classifier sees: image·mask, or the image itself. Tables (B, P) have no
            axes between, sequences one, images two (rows, columns), volumes three.
        mask: (B, …, 1) in {0, 1}.
        spacing: (B, s), distance of pixels along the s axes in mm; None for 1 mm.
        window: None, or ((H, W), (B, 2)), the size of the canvas and the origins of the windows on it.
    """

    window: tuple[Edges, tf.Tensor] | None = None

    def __init__(
        self,
        classifier: Classifier,
        image: tf.Tensor | None,
        mask: tf.Tensor,
        spacing: tf.Tensor | None = None,
        *others: tf.Tensor,
    ) -> None:
        self._unbound, self._others = classifier, others
        self.classifier = classifier.bound(others) if others else classifier
        self.image: Any = image
        self.mask, self.spacing = mask, spacing

    @property
    def context(self) -> tuple[tf.Tensor, ...]:
        """The tensors besides the image that make up a view, with a leading batch axis, see `at`."""
        return self.mask, self.spacing, *self._others

    def at(self, image: tf.Tensor | None, context: Sequence[tf.Tensor]) -> "View":
        """The view of another image; image and context may be those of a subset of the samples."""
        return View(self._unbound, image, *context)

    def logits(self, training: bool = False) -> tf.Tensor:
        """(B, 1) or (B, K), see `as_logits`."""
        return as_logits(self.classifier(self.image, training=training))

    def feature_values(self, features: Sequence[Feature]) -> tf.Tensor:
        """g of each feature, (B, m)."""
        return tf.stack([feature.value(*self._inputs_of(feature)) for feature in features], axis=1)

    def features_defined(self, features: Sequence[Feature]) -> tf.Tensor:
        """Whether the value of each feature is what its name says, (B, m) bool; see `Feature.is_defined`."""
        return tf.stack([feature.is_defined(*self._inputs_of(feature)) for feature in features], axis=1)

    def feature_gradients(self, features: Sequence[Feature]) -> tf.Tensor:
        """∇g of each feature, (B, m, …, C)."""
        return stack_gradients(features, self.image, self.mask, self.spacing)

    def on_canvas(self, field: tf.Tensor) -> tf.Tensor:
        """Fields (B, …, rows, columns, C) as fields on the canvas (B, …, H, W, C), zero outside the view."""
        return field

    def around_mask(self, fields: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Fields inside the smallest windows that hold the masks, and the context of the view there.

        That view serves `shift_invariant` features only; the classifier cannot be evaluated on it.
        """
        first, edges = window_around(self.mask)
        return crop(fields, first, edges), self._narrower(first, crop(self.mask, first, edges))

    def _inputs_of(self, feature: Feature) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Image, mask and spacing for which a feature has the same value as on the canvas."""
        del feature
        return self.image, self.mask, self.spacing

    def _narrower(self, first: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, ...]:
        del first
        return mask, self.spacing, *self._others


class WindowView(View):
    """A view in windows of the canvas, for a classifier that sees image·mask.

    With `grouped`, small tumours are computed in smaller windows, see `SizeGroups`: gradients are zero there
    in pixels without tumour. XLA cannot do it, because the sizes depend on the masks.
    """

    def __init__(
        self,
        network: RoiCnn | FusedRoiCnn,
        canvas: Edges,
        origin: tf.Tensor,
        image: tf.Tensor,
        mask: tf.Tensor,
        spacing: tf.Tensor | None = None,
        *others: tf.Tensor,
        grouped: bool = False,
    ) -> None:
        groups = SizeGroups(mask) if grouped else None
        super().__init__(network.at(origin, *others, groups=groups), image, mask, spacing)
        self.window, self._grouped = (canvas, origin), grouped
        self._network, self._canvas, self._origin, self._others = network, canvas, origin, others

    @property
    def context(self) -> tuple[tf.Tensor, ...]:
        """As of any view, with the origins of the windows."""
        return self.mask, self.spacing, self._origin, *self._others

    def at(self, image: tf.Tensor | None, context: Sequence[tf.Tensor]) -> View:
        """See `View.at`."""
        mask, spacing, origin, *others = context
        network, grouped = self._network, self._grouped
        return WindowView(network, self._canvas, origin, image, mask, spacing, *others, grouped=grouped)

    def feature_gradients(self, features: Sequence[Feature]) -> tf.Tensor:
        """See `View.feature_gradients`."""

        def gradient(feature: Feature) -> tf.Tensor:
            field = feature.gradient(*self._inputs_of(feature))
            return field if feature.shift_invariant else crop(field, self._origin, edges_of(self.image))

        return tf.stack([gradient(feature) for feature in features], axis=1)

    def on_canvas(self, field: tf.Tensor) -> tf.Tensor:
        """See `View.on_canvas`."""
        return paste(field, self._origin, self._canvas)

    def _inputs_of(self, feature: Feature) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        if feature.shift_invariant:
            return self.image, self.mask, self.spacing
        return self.on_canvas(self.image), self.on_canvas(self.mask), self.spacing

    def _narrower(self, first: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return mask, self.spacing, self._origin + first, *self._others
