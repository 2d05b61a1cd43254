"""Gradients of a classifier's scores with respect to its input, and checks that they can be had."""

import numpy as np
import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.geometry.sections import decision_score, section_scores

# Under float16 small gradients vanish on the way back; a constant factor on the score keeps them.
FLOAT16_SCALE = 1024.0


def section_gradients(classifier, image, *, training=False, stop_recording=None):
    """Logits and the gradients that span the section.

    Args:
        classifier: callable (image, training) to logits (B, 1) or (B, K).
        image: (B, H, W, C), what the classifier sees.
        training: handed to the classifier.
        stop_recording: an outer tape that must not record the gradient's own computation, or None.

    Returns:
        logits (B, 1) or (B, K); gradients (B, R, H, W, C) with R = 1 for two classes and K-1 otherwise.

    Raises:
        ModelError: the scores do not depend differentiably on the image.
    """
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(image)
        logits = as_logits(classifier(image, training=training))
        scale = _scale(classifier)
        scores = [scale * score for score in tf.unstack(section_scores(logits), axis=1)]
    if stop_recording is None:
        gradients = [_gradient(tape, score, image) for score in scores]
    else:
        with stop_recording.stop_recording():
            gradients = [_gradient(tape, score, image) for score in scores]
    return logits, tf.stack(gradients, axis=1) / tf.cast(scale, image.dtype)


def decision_gradient(classifier, image, pair):
    """The score of the decision and its gradient: z (B,), ∇z (B, H, W, C); see `sections.decision_score`."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(image)
        score = decision_score(as_logits(classifier(image, training=False)), pair)
        scale = _scale(classifier)
        scaled = scale * score
    return score, _gradient(tape, scaled, image) / tf.cast(scale, image.dtype)


def as_logits(outputs):
    """Outputs of a classifier as (B, 1) or (B, K) in float32 or more.

    Raises:
        ModelError: several outputs, or an output that is not one row of logits a sample.
    """
    if not tf.is_tensor(outputs) or outputs.shape.rank not in (1, 2):
        shape = tuple(outputs.shape) if tf.is_tensor(outputs) else type(outputs).__name__
        raise ModelError(
            f"The classifier must return one tensor of logits, shape (B, 1) or (B, K). Received: {shape}. "
            "Wrap it in a keras.Model that returns the logits alone."
        )
    outputs = outputs if outputs.shape.rank == 2 else outputs[:, tf.newaxis]
    return tf.cast(outputs, tf.float32) if outputs.dtype in (tf.float16, tf.bfloat16) else outputs


def refuse_probabilities(classifier, image):
    """Raise `ModelError` if the classifier returns probabilities.

    Certain where its last layer says so; otherwise outputs that stay between 0 and 1 however bright, dark or
    noisy the image is made.

    Args:
        classifier: a Keras model.
        image: a few images it may see, (B, H, W, C).
    """
    refuse_probability_layer(classifier)
    noise = tf.random.stateless_normal(tf.shape(image), [0, 1], dtype=image.dtype)
    probes = [image, 100 * image, -100 * image, 100 * noise, -100 * noise]
    outputs = np.concatenate([as_logits(classifier(probe, training=False)).numpy() for probe in probes])
    within = np.all((outputs >= 0) & (outputs <= 1))
    # A constant score is no probability: its gradient vanishes, which each sample then says.
    if within and np.any(np.ptp(outputs, axis=0) > 0):
        _refuse("its output stays in [0, 1] however the image is changed")


def refuse_probability_layer(classifier):
    """Raise `ModelError` if the classifier's last layer says that it returns probabilities."""
    layer = classifier
    while getattr(layer, "layers", None):
        layer = layer.layers[-1]
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    if name in ("sigmoid", "softmax", "hard_sigmoid"):
        _refuse(f"its last layer {layer.name!r} has activation {name!r}")


def _refuse(evidence):
    raise ModelError(
        f"The classifier returns probabilities ({evidence}), and alignment needs logits: a saturated "
        "probability has no gradient left. Build it without its last activation: leave the activation layer "
        "away, e.g. keras.Model(model.input, model.layers[-2].output), or make the last layer "
        "Dense(…, activation=None) and load the same weights."
    )


def _scale(classifier):
    return FLOAT16_SCALE if getattr(classifier, "compute_dtype", None) == "float16" else 1.0


def _gradient(tape, score, image):
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
            "without a derivative on the way (rounding, argmax, casting to int), a NumPy or Python function "
            "inside (tf.py_function, tf.numpy_function), tf.stop_gradient, or a first layer that does not "
            "use the image it is given."
        )
    return gradient
