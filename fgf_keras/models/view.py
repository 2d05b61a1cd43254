"""What a classifier sees of a batch: the whole canvas, or windows around the tumours with the same numbers.

Measurements on a batch are functions of a `View`. `Placement` creates the views and decides where the
classifier is computed; no other code needs to know.
"""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.features.base import Feature, stack_gradients
from fgf_keras.geometry.windows import (
    Edges,
    bounding_box,
    crop,
    edges_of,
    paste,
    placed_on,
    shift,
    window_around,
    window_edges,
)
from fgf_keras.models.input_gradient import Classifier, as_logits
from fgf_keras.models.window.roi_cnn import RoiCnn

EVALUATIONS = ("auto", "dense", "roi")
# Edges of the windows in graphs with static sizes, px; the largest is the canvas. Each size is compiled.
KNOWN_SIZES = (32, 64, 128)


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


class _WindowView(View):
    """A view in windows of the canvas, for a classifier that sees image·mask."""

    def __init__(
        self,
        network: RoiCnn,
        canvas: Edges,
        origin: tf.Tensor,
        image: tf.Tensor,
        mask: tf.Tensor,
        spacing: tf.Tensor | None = None,
    ) -> None:
        super().__init__(network.at(origin), image, mask, spacing)
        self.window = canvas, origin
        self._network, self._canvas, self._origin = network, canvas, origin

    @property
    def context(self) -> tuple[tf.Tensor, ...]:
        return self.mask, self.spacing, self._origin

    def at(self, image: tf.Tensor | None, context: Sequence[tf.Tensor]) -> View:
        mask, spacing, origin = context
        return _WindowView(self._network, self._canvas, origin, image, mask, spacing)

    def feature_gradients(self, features: Sequence[Feature]) -> tf.Tensor:
        def gradient(feature: Feature) -> tf.Tensor:
            field = feature.gradient(*self._inputs_of(feature))
            return field if feature.shift_invariant else crop(field, self._origin, edges_of(self.image))

        return tf.stack([gradient(feature) for feature in features], axis=1)

    def on_canvas(self, field: tf.Tensor) -> tf.Tensor:
        return paste(field, self._origin, self._canvas)

    def _inputs_of(self, feature: Feature) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        if feature.shift_invariant:
            return self.image, self.mask, self.spacing
        return self.on_canvas(self.image), self.on_canvas(self.mask), self.spacing

    def _narrower(self, first: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return mask, self.spacing, self._origin + first


class Placement:
    """Where a classifier is computed: in windows if that gives the same numbers, else on the whole canvas.

    Args:
        classifier: Keras model from (B, H, W, C) to logits.
        evaluation: "auto", "dense" (the whole canvas), or "roi" (windows, or an error).
        support: of the gradients; outside the mask they need the canvas.
        mask_input: whether the classifier sees image·mask.

    Attributes:
        reason: why the whole canvas is used, which is also logged; None if windows are used.

    Raises:
        ModelError: "roi" is impossible, with the reason; or `evaluation` is not one of `EVALUATIONS`.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        evaluation: str = "auto",
        support: str = "mask",
        mask_input: bool = True,
    ) -> None:
        if evaluation not in EVALUATIONS:
            raise ModelError(
                f"evaluation must be one of {', '.join(EVALUATIONS)}. Received: evaluation={evaluation!r}."
            )
        self._classifier, self._mask_input = classifier, mask_input
        self._network: RoiCnn | None = None
        self.reason: str | None = "asked for"
        if evaluation != "dense":
            self._network, self.reason = _windowed(classifier, support, mask_input)
        if evaluation == "roi" and self.reason:
            raise ModelError(
                "The classifier cannot be evaluated in a window around the tumour (evaluation='roi'): "
                f"{self.reason}. Use evaluation='auto'."
            )
        if evaluation == "auto" and self.reason:
            _log(self.reason)

    def run(
        self,
        function: Callable[[View], Any],
        image: tf.Tensor,
        mask: tf.Tensor,
        spacing: tf.Tensor | None = None,
        *others: tf.Tensor,
        origin: tf.Tensor | None = None,
        compiled: bool = False,
    ) -> Any:
        """The result of a function of the `View` of a batch.

        Args:
            function: returns tensors whose shapes do not depend on the size of the windows. Gradients of its
                results are best computed inside: with `compiled`, code outside sees one of several branches.
            image: (B, …, C) on the canvas.
            mask: (B, …, 1) in {0, 1}, of the type of the image.
            spacing: (B, s), see `View`.
            others: the other inputs of the classifier, with a leading batch axis, see `Score`.
            origin: (B, 2) integers, if image and mask are windows of any size that hold the tumours: the
                positions of their first pixels on the canvas. They may extend beyond it where the mask is 0.
            compiled: in a graph for XLA, where the size of the windows must be static: one of `KNOWN_SIZES`.

        Raises:
            ValueError: images that do not have the size of the canvas.
        """
        if origin is not None:
            # Keras passes on other types: int64 from NumPy, float32 where it builds for several replicas.
            origin = tf.cast(origin, tf.int32)
        if self._network is not None:
            return self._in_windows(self._network, function, image, mask, spacing, origin, compiled)
        if origin is not None:
            canvas = _canvas(self._classifier)
            image, mask = (paste(field, origin, canvas) for field in (image, mask))
        seen = image * mask if self._mask_input else image
        return function(View(self._classifier, seen, mask, spacing, *others))

    def _in_windows(
        self,
        network: RoiCnn,
        function: Callable[[View], Any],
        image: tf.Tensor,
        mask: tf.Tensor,
        spacing: tf.Tensor | None,
        origin: tf.Tensor | None,
        compiled: bool,
    ) -> Any:
        canvas = tuple(self._classifier.input_shape[1:3])
        if origin is None:
            image, mask = (tf.ensure_shape(field, [None, *canvas, None]) for field in (image, mask))
        first, counts = bounding_box(mask)
        needed = tf.reduce_max(counts, axis=0)
        start = 0 if origin is None else origin
        # A rectangle cut out of a window may extend beyond it, where there is no tumour.
        cut = crop if origin is None else shift

        def within(edges: Edges) -> Any:
            place = placed_on(first + start, edges, canvas)
            inside = cut(mask, place - start, edges)
            visible = cut(image, place - start, edges) * inside
            return function(_WindowView(network, canvas, place, visible, inside, spacing))

        if not compiled:
            return within(window_edges(needed, canvas))
        largest = max(edges_of(image))
        sizes = [size for size in KNOWN_SIZES if size < largest]
        branches = [
            functools.partial(within, [min(size, edge) for edge in canvas]) for size in (*sizes, largest)
        ]
        return tf.switch_case(tf.reduce_sum(tf.cast(tf.reduce_max(needed) > sizes, tf.int32)), branches)


def measured_evaluation(model: Any) -> str:
    """`evaluation` for measurements of a model, on any support: "dense" if the model asks for that."""
    # "roi" concerns how the model is trained; it says nothing about measurements that need the canvas.
    return "dense" if getattr(model, "evaluation", None) == "dense" else "auto"


def _windowed(classifier: Classifier, support: str, mask_input: bool) -> tuple[RoiCnn | None, str | None]:
    """The classifier in windows and None, or None and the reason why that is impossible."""
    if support != "mask":
        return None, f"support={support!r} takes gradients outside of the tumour"
    if not mask_input:
        return None, "the classifier sees pixels outside of the tumour"
    try:
        return RoiCnn(classifier), None
    except ModelError as error:
        return None, str(error)


@functools.cache
def _log(reason: str) -> None:
    """Log a reason, once for each reason."""
    logging.getLogger(__name__).info("Computing on the whole canvas: %s.", reason)


def _canvas(classifier: Classifier) -> tuple[int, ...]:
    """Rows and columns of the images that a classifier takes."""
    shape = getattr(classifier, "input_shape", None)
    size = tuple(shape or ())[1:3]
    if len(size) != 2 or None in size:
        raise ModelError(
            "Windows lie on a canvas, so the rows and columns of the classifier's input must be known. "
            f"Received: input_shape={shape}. Give whole images, without 'origin'."
        )
    return size
