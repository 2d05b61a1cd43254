"""Where a classifier is computed: on the whole canvas, or in a window around the tumour.

What is measured on a batch is a function of (seen, mask, origin): what the classifier sees and the mask, on
the canvas or in the batch's windows, and where those lie. A placement hands it these, and knows the
classifier, the features' gradients and the noise there.
"""

import functools
import logging

import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.features.base import stack_gradients
from fgf_keras.geometry.windows import bounding_box, crop, edges_of, paste, placed_on, shift, window_edges
from fgf_keras.models.window.roi_cnn import RoiCnn

EVALUATIONS = ("auto", "dense", "roi")
# Edges of the windows in graphs that must know them, px, and then the canvas; each is compiled.
KNOWN_SIZES = (32, 64, 128)


def placement(classifier, *, evaluation="auto", support="mask", mask_input=True):
    """Where to compute a classifier: in a window wherever that gives the same numbers.

    Args:
        classifier: Keras model from (B, H, W, C) to logits.
        evaluation: "auto", "dense" (the whole canvas), or "roi" (a window, or an error).
        support: of the gradients; outside of the mask they need the canvas.
        mask_input: the classifier sees image·mask.

    Returns:
        `InWindow`, or `OnCanvas` with the reason, which is also logged.

    Raises:
        ModelError: "roi" where it cannot be, with the reason; not one of `EVALUATIONS`.
    """
    if evaluation not in EVALUATIONS:
        raise ModelError(
            f"evaluation must be one of {', '.join(EVALUATIONS)}. Received: evaluation={evaluation!r}."
        )
    if evaluation == "dense":
        return OnCanvas(classifier, mask_input=mask_input, reason="asked for")
    if support != "mask":
        reason = f"support={support!r} takes gradients outside of the tumour"
    elif not mask_input:
        reason = "the classifier sees pixels outside of the tumour"
    else:
        try:
            return InWindow(classifier)
        except ModelError as error:
            reason = str(error)
    if evaluation == "roi":
        raise ModelError(
            f"The classifier cannot be evaluated in a window around the tumour (evaluation='roi'): {reason}. "
            "Use evaluation='auto'."
        )
    _log(reason)
    return OnCanvas(classifier, mask_input=mask_input, reason=reason)


def measured_evaluation(model):
    """`evaluation` for measurements of a model, on any support: "dense" where the model asks for that."""
    # A model that asks for "roi" is trained so; that is no wish about measurements that need the canvas.
    return "dense" if getattr(model, "evaluation", None) == "dense" else "auto"


@functools.cache
def _log(reason):
    """Once for each reason."""
    logging.getLogger(__name__).info("Computing on the whole canvas: %s.", reason)


class OnCanvas:
    """The whole canvas, for any classifier.

    Attributes:
        reason: why not in a window.
    """

    def __init__(self, classifier, *, mask_input, reason):
        self.reason = reason
        self._classifier = classifier
        self._mask_input = mask_input

    def run(self, function, image, mask, *, origin=None, compiled=False):
        """What `function` of (seen, mask, origin) returns; see `InWindow.run`."""
        del compiled
        if origin is not None:
            canvas = _canvas(self._classifier)
            image, mask = (paste(field, origin, canvas) for field in (image, mask))
        origin = tf.zeros([tf.shape(image)[0], 2], tf.int32)
        return function(image * mask if self._mask_input else image, mask, origin)

    def classifier(self, origin):
        """The classifier of what is seen: a callable of (image, training) to logits."""
        del origin
        return self._classifier

    def feature_gradients(self, features, seen, mask, spacing, origin):
        """∇g of each feature, (B, m, rows, columns, C)."""
        del origin
        return stack_gradients(features, seen, mask, spacing)

    def on_canvas(self, field, origin):
        """Fields as fields on the canvas, (B, …, H, W, C)."""
        del origin
        return field

    def window(self, origin):
        """What `geometry.nulls.white_noise_alignment` takes as its window."""
        del origin


class InWindow:
    """Windows around the tumours of a batch, for a paper CNN that sees image·mask: the same numbers."""

    reason = None

    def __init__(self, classifier):
        self._network = RoiCnn(classifier)
        self._canvas = tuple(classifier.input_shape[1:3])

    def run(self, function, image, mask, *, origin=None, compiled=False):
        """What `function` of (seen, mask, origin) returns.

        Args:
            function: returns tensors whose shapes do not depend on the size of the window. Gradients that
                are wanted of its results are best taken inside: with `compiled`, what is outside of it
                sees one of several branches.
            image: (B, H, W, C) on the canvas.
            mask: (B, H, W, 1) in {0, 1}, of the type of the image.
            origin: (B, 2) int32, where image and mask are windows of any size that hold the tumours: the
                place of their first pixel on the canvas. They may reach beyond it with a mask that is 0.
            compiled: in a graph for XLA, where the size of the window must be known: one of `KNOWN_SIZES`.

        Raises:
            ValueError: images that are not of the size of the canvas.
        """
        if origin is None:
            image, mask = (tf.ensure_shape(field, [None, *self._canvas, None]) for field in (image, mask))
        first, counts = bounding_box(mask)
        needed = tf.reduce_max(counts, axis=0)
        held = 0 if origin is None else origin
        # What is cut out of a window may lie beside it, where there is nothing of the tumour.
        cut = crop if origin is None else shift

        def within(edges):
            place = placed_on(first + held, edges, self._canvas)
            inside = cut(mask, place - held, edges)
            return function(cut(image, place - held, edges) * inside, inside, place)

        if not compiled:
            return within(window_edges(needed, self._canvas))
        largest = max(edges_of(image))
        sizes = [size for size in KNOWN_SIZES if size < largest]
        branches = [
            functools.partial(within, [min(size, edge) for edge in self._canvas])
            for size in (*sizes, largest)
        ]
        return tf.switch_case(tf.reduce_sum(tf.cast(tf.reduce_max(needed) > sizes, tf.int32)), branches)

    def classifier(self, origin):
        """As `OnCanvas.classifier`."""
        return self._network.at(origin)

    def feature_gradients(self, features, seen, mask, spacing, origin):
        """As `OnCanvas.feature_gradients`."""
        edges = edges_of(seen)

        def gradient(feature):
            if feature.shift_invariant:
                return feature.gradient(seen, mask, spacing)
            whole = feature.gradient(self.on_canvas(seen, origin), self.on_canvas(mask, origin), spacing)
            return crop(whole, origin, edges)

        return tf.stack([gradient(feature) for feature in features], axis=1)

    def on_canvas(self, field, origin):
        """As `OnCanvas.on_canvas`; zero outside of the window."""
        return paste(field, origin, self._canvas)

    def window(self, origin):
        """As `OnCanvas.window`."""
        return self._canvas, origin


def _canvas(classifier):
    """Rows and columns of the images that a classifier takes."""
    shape = getattr(classifier, "input_shape", None)
    size = tuple(shape or ())[1:3]
    if len(size) != 2 or None in size:
        raise ModelError(
            "Windows lie on a canvas, so the rows and columns of the classifier's input must be known. "
            f"Received: input_shape={shape}. Give whole images, without 'origin'."
        )
    return size
