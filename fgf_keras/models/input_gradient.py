"""Gradients of a classifier's scores with respect to its input."""

from typing import Any

import keras
import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.geometry.sections import decision_score, section_scores

# A Keras model from (B, H, W, C) to logits, or a callable of (image, training) with the same interface.
Classifier = Any
# Under float16, small gradients underflow in the backward pass; a constant factor on the score prevents that.
FLOAT16_SCALE = 1024.0
# Number of classes up to which all of them span the section by default, and how many of more do.
MOST_CLASSES, CLASSES_OF_MANY = 20, 5


def section_gradients(
    classifier: Classifier,
    image: tf.Tensor,
    *,
    training: bool = False,
    stop_recording: tf.GradientTape | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits and the gradients that span the section.

    Args:
        classifier: callable (image, training) to logits (B, 1) or (B, K).
        image: (B, H, W, C), what the classifier sees.
        training: passed to the classifier.
        stop_recording: an outer tape that must not record the computation of the gradient, or None.

    Returns:
        logits (B, 1) or (B, K); gradients (B, R, …, C) with R = 1 for two classes and K-1 otherwise.

    Raises:
        ModelError: the scores do not depend differentiably on the image.
    """
    logits, gradients, _ = chosen_section_gradients(
        classifier, image, "all", training=training, stop_recording=stop_recording
    )
    return logits, gradients


def chosen_section_gradients(
    classifier: Classifier,
    image: tf.Tensor,
    classes: int | str,
    *,
    training: bool = False,
    stop_recording: tf.GradientTape | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
    """As `section_gradients`, with the section of some classes only.

    Args:
        classes: "all"; k for the k most probable classes; "top" for the `CLASSES_OF_MANY` most probable;
            "auto" for all of up to `MOST_CLASSES`, and "top" of more.

    Returns:
        All logits, the gradients, and the classes (B, k) int32, the most probable first; None for all.
    """
    chosen = None
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(image)
        logits = as_logits(classifier(image, training=training))
        scale = _scale(classifier)
        of_section = logits
        count = _number_of(classes, logits.shape[1])
        if count < logits.shape[1]:
            chosen = tf.math.top_k(logits, count).indices
            of_section = tf.gather(logits, chosen, batch_dims=1)
        scores = [scale * score for score in tf.unstack(section_scores(of_section), axis=1)]
    if stop_recording is None:
        gradients = [_gradient(tape, score, image) for score in scores]
    else:
        with stop_recording.stop_recording():
            gradients = [_gradient(tape, score, image) for score in scores]
    return logits, tf.stack(gradients, axis=1) / tf.cast(scale, image.dtype), chosen


def _number_of(classes: int | str, count: int) -> int:
    """How many of `count` classes span the section."""
    if classes == "auto":
        classes = "all" if count <= MOST_CLASSES else "top"
    if classes == "top":
        classes = CLASSES_OF_MANY
    return count if classes == "all" else min(int(classes), count)


def decision_gradient(
    classifier: Classifier, image: tf.Tensor, pair: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The decision's score and its gradient: z (B,), ∇z (B, H, W, C); see `sections.decision_score`."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(image)
        score = decision_score(as_logits(classifier(image, training=False)), pair)
        scale = _scale(classifier)
        scaled = scale * score
    return score, _gradient(tape, scaled, image) / tf.cast(scale, image.dtype)


def as_logits(outputs: Any) -> tf.Tensor:
    """Outputs of a classifier as (B, 1) or (B, K) in float32 or more.

    Raises:
        ModelError: several outputs, or an output that is not one row of logits per sample.
    """
    if not tf.is_tensor(outputs) or outputs.shape.rank not in (1, 2):
        shape = tuple(outputs.shape) if tf.is_tensor(outputs) else type(outputs).__name__
        raise ModelError(
            f"The classifier must return one tensor of logits, shape (B, 1) or (B, K). Received: {shape}. "
            "Wrap it in a keras.Model that returns the logits alone."
        )
    if not outputs.dtype.is_floating:
        raise ModelError(
            f"The classifier must return logits. Received: values of type {outputs.dtype.name}, which have "
            "no gradient, e.g. those of argmax or rounding."
        )
    outputs = outputs if outputs.shape.rank == 2 else outputs[:, tf.newaxis]
    return tf.cast(outputs, tf.float32) if outputs.dtype in (tf.float16, tf.bfloat16) else outputs


def dtype_of(classifier: Classifier) -> tf.DType:
    """The type that images of a classifier are measured in: float64 if it computes in that, else float32."""
    return tf.float64 if compute_type(classifier) == "float64" else tf.float32


def compute_type(classifier: Classifier) -> str:
    """The name of the type that a classifier computes in; of a mixed network, the shortest.

    A model that was loaded, or put together from others, says the policy of now, and its layers their own.
    """
    own = getattr(classifier, "compute_dtype", "float32")
    if not isinstance(classifier, keras.Layer):
        return str(own)
    # Those with weights of their own: a model around them says nothing about them.
    layers = [layer for layer in classifier._flatten_layers() if layer.built and layer._trainable_variables]
    types = {layer.compute_dtype for layer in layers}
    if types == {"float64"}:
        return "float64"
    return next((short for short in ("float16", "bfloat16") if short in types), str(own))


def rounding_of(classifier: Classifier) -> float:
    """The largest relative error of rounding to the type that a classifier computes in; 0 from float32 on."""
    return {"float16": 2.0**-11, "bfloat16": 2.0**-8}.get(compute_type(classifier), 0.0)


def _scale(classifier: Classifier) -> float:
    return FLOAT16_SCALE if compute_type(classifier) == "float16" else 1.0


def _gradient(tape: tf.GradientTape, score: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    try:
        gradient = tape.gradient(score, image)
    except LookupError as error:
        raise ModelError(
            f"The classifier's score has no gradient with respect to its image: {error}. Replace the layer "
            "that uses this operation, e.g. resizing by area with bilinear resizing."
        ) from error
    if gradient is None:
        raise ModelError(
            "The classifier's score has no gradient with respect to its image. Usual causes: an operation "
            "without a derivative on the way (rounding, argmax, casting to int, an embedding of integers), "
            "a NumPy or Python function inside (tf.py_function, tf.numpy_function), tf.stop_gradient, or a "
            "first layer that does not use the image it is given."
        )
    return gradient
