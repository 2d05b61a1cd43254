"""Where a classifier's derivatives are missing or undefined: which layers, and at which images."""

import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

from fgf_keras.errors import ModelError
from fgf_keras.geometry.sections import section_scores
from fgf_keras.models.input_gradient import Classifier, as_logits

# Name scope of the operations that TensorFlow adds for a gradient.
_GRADIENT = "gradient_tape/"
# Operations that have no gradient because their values do not depend on anything.
_WITHOUT_NEED = ("Fill", "ZerosLike", "OnesLike", "Shape", "BroadcastGradientArgs", "ReadVariableOp")


def layers_without_second_derivative(
    network: Classifier, called: Classifier, image: tf.TensorSpec
) -> list[str]:
    """The layers whose gradient is computed by operations that have no gradient themselves.

    Args:
        network: Keras model, for the names of its layers.
        called: callable (image, training) to its logits.
        image: shape and type of a batch.

    Returns:
        Name and operation of each, e.g. "resizing_1 (ResizeBilinearGrad)"; empty if none is found.
    """

    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            score = tf.reduce_sum(section_scores(as_logits(called(x, training=False))))
        return tape.gradient(score, x)

    try:
        graph = tf.function(gradient, autograph=False).get_concrete_function(image).graph
    except LookupError:
        return []
    names = {layer.name for layer in network._flatten_layers()}
    found: dict[str, None] = {}
    for operation in graph.get_operations():
        if operation.name.startswith(_GRADIENT) and not _has_gradient(operation):
            # TensorFlow numbers a scope that it enters again.
            parts = [re.sub(r"_\d+$", "", p) if p not in names else p for p in operation.name.split("/")]
            layer = next((part for part in reversed(parts) if part in names), "a layer")
            found[f"{layer} ({operation.type})"] = None
    return list(found)


def _has_gradient(operation: Any) -> bool:
    if not any(output.dtype.is_floating for output in operation.outputs) or not operation.inputs:
        return True  # a constant, or what only steers the computation
    try:
        return ops.get_gradient_function(operation) is not None or operation.type in _WITHOUT_NEED
    except LookupError:
        return False


def refuse_undefined(
    network: Classifier, called: Classifier, image: tf.Tensor, mask: tf.Tensor, *, second: bool
) -> None:
    """Refuse a classifier whose derivatives are not finite where the mask sets pixels to zero.

    One step of training would make its weights NaN.

    Args:
        network: Keras model, with its weights.
        called: callable (image, training) to its logits.
        image: (B, …, C).
        mask: (B, …, 1), zero at some places.
        second: whether second derivatives are used.

    Raises:
        ModelError: they are finite at the whole images, but not at image·mask.
    """
    if _finite(network, called, image * mask, second) or not _finite(network, called, image, second):
        return
    layers = [layer.name for layer in network._flatten_layers() if "Normalization" in type(layer).__name__]
    suspects = f" Layers that normalise: {', '.join(layers)}." if layers else ""
    raise ModelError(
        "The classifier's derivatives are not finite where pixels outside the mask are set to zero, and one "
        "step of training would make its weights NaN. The usual cause is a square root or a norm "
        "(tf.sqrt, tf.norm, UnitNormalization), whose derivative at 0 is infinite: compute "
        f"sqrt(x² + epsilon) instead, or give its layer a bias before it.{suspects}"
    )


def _finite(network: Classifier, called: Classifier, image: tf.Tensor, second: bool) -> bool:
    with tf.GradientTape() as outer:
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(image)
            score = tf.reduce_sum(section_scores(as_logits(called(image, training=False))))
        total = score
        if second:
            total += tf.cast(tf.reduce_sum(inner.gradient(score, image) ** 2), score.dtype)
    try:
        gradients: Sequence[Any] = outer.gradient(total, network.trainable_variables)
    except LookupError:  # reported where the derivative is needed
        return True
    known = [tf.convert_to_tensor(g) for g in gradients if g is not None]
    return all(bool(tf.reduce_all(tf.math.is_finite(g))) for g in (total, *known))


def weight_gradient(tape: tf.GradientTape, objective: tf.Tensor, variables: Sequence[Any]) -> list[Any]:
    """The gradient of an objective that holds input gradients.

    Raises:
        ModelError: an operation has no second derivative.
    """
    try:
        return tape.gradient(objective, variables)
    except LookupError as error:
        raise ModelError(
            f"The classifier has an operation without a second derivative, which the reward needs: {error}. "
            "Use reward_gradient='difference' or 'auto', which need none, or replace the layer."
        ) from error
