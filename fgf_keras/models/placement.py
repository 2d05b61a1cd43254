"""Where a classifier is computed: on the whole canvas, or in windows around the tumours."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.geometry.windows import (
    Edges,
    bounding_box,
    crop,
    edges_of,
    paste,
    placed_on,
    shift,
    window_edges,
)
from fgf_keras.models.input_gradient import Classifier
from fgf_keras.models.inputs import CLINICAL, IMAGE, input_shape
from fgf_keras.models.late_fusion import LateFusion
from fgf_keras.models.network import Key, Network
from fgf_keras.models.view import View, WindowView
from fgf_keras.models.window.fused import FusedRoiCnn
from fgf_keras.models.window.roi_cnn import RoiCnn

EVALUATIONS = ("auto", "dense", "roi")
# Edges of the windows in graphs with static sizes, px; the largest is the canvas. Each size is compiled.
KNOWN_SIZES = (32, 64, 128)


class Placement:
    """Where a classifier is computed: in windows if that gives the same numbers, else on the whole canvas.

    Args:
        classifier: Keras model from (B, H, W, C) to logits, or `LateFusion`; or `Network` of one of these.
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
        if isinstance(classifier, LateFusion):
            classifier = Network(classifier, key=IMAGE, names=[CLINICAL])
        self._classifier, self._support, self._mask_input = classifier, support, mask_input
        self._network: RoiCnn | FusedRoiCnn | None = None
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

    def with_inputs(self, key: Key | None, names: Sequence[Key]) -> "Placement":
        """The placement of the same classifier with further inputs; on the canvas unless it is a fusion.

        Args:
            key: of the differentiated input; None for "image".
            names: of the other inputs.
        """
        known = self._classifier
        own = (known.key, *known.names) if isinstance(known, Network) else (None,)
        if (key, *names) in (own, (None, *own[1:])):
            return self
        model = known.model if isinstance(known, Network) else known
        network = Network(model, key=key or IMAGE, names=names)
        return Placement(network, evaluation="dense", support=self._support, mask_input=self._mask_input)

    def run(
        self,
        function: Callable[[View], Any],
        image: tf.Tensor,
        mask: tf.Tensor,
        spacing: tf.Tensor | None = None,
        *others: tf.Tensor,
        origin: tf.Tensor | None = None,
        compiled: bool = False,
        grouped: bool = False,
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
            grouped: computes small tumours in smaller windows, unless compiled, see `WindowView`. It saves a
                third of the time of training; how a sample's numbers are rounded then depends on the others.

        Raises:
            ValueError: images that do not have the size of the canvas.
        """
        if origin is not None:
            # Keras passes on other types: int64 from NumPy, float32 where it builds for several replicas.
            origin = tf.cast(origin, tf.int32)
        if self._network is not None:
            return self._in_windows(
                self._network, function, image, mask, spacing, origin, compiled, grouped, *others
            )
        if origin is not None:
            canvas = _canvas(self._classifier)
            image, mask = (paste(field, origin, canvas) for field in (image, mask))
        seen = image * mask if self._mask_input else image
        return function(View(self._classifier, seen, mask, spacing, *others))

    def _in_windows(
        self,
        network: RoiCnn | FusedRoiCnn,
        function: Callable[[View], Any],
        image: tf.Tensor,
        mask: tf.Tensor,
        spacing: tf.Tensor | None,
        origin: tf.Tensor | None,
        compiled: bool,
        grouped: bool,
        *others: tf.Tensor,
    ) -> Any:
        canvas = network.canvas
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
            fields = visible, inside, spacing, *others
            return function(WindowView(network, canvas, place, *fields, grouped=grouped and not compiled))

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


def _windowed(
    classifier: Classifier, support: str, mask_input: bool
) -> tuple[RoiCnn | FusedRoiCnn | None, str | None]:
    """The classifier in windows and None, or None and the reason why that is impossible."""
    if support != "mask":
        return None, f"support={support!r} takes gradients outside of the tumour"
    if not mask_input:
        return None, "the classifier sees pixels outside of the tumour"
    try:
        if isinstance(classifier, Network) and isinstance(classifier.model, LateFusion):
            if classifier.is_plain and (classifier.key, *classifier.names) == (IMAGE, CLINICAL):
                return FusedRoiCnn(classifier.model), None
            return None, "the score is not the logits of the network"
        return RoiCnn(classifier), None
    except ModelError as error:
        return None, str(error)


@functools.cache
def _log(reason: str) -> None:
    """Log a reason, once for each reason."""
    logging.getLogger(__name__).info("Computing on the whole canvas: %s.", reason)


def _canvas(classifier: Classifier) -> tuple[int, ...]:
    """Rows and columns of the images that a classifier takes."""
    if isinstance(classifier, Network):
        shape = input_shape(classifier.model, classifier.key)
    else:
        shape = input_shape(classifier)
    size = tuple(edge for edge in (shape or ())[:2] if edge is not None)
    if len(size) != 2:
        raise ModelError(
            "Windows lie on a canvas, so the rows and columns of the classifier's input must be known. "
            f"Received: images of shape {shape}. Give whole images, without 'origin'."
        )
    return size
