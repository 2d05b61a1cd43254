"""Checks that a classifier returns logits, and the logits of a classifier that returns probabilities."""

import warnings
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.models.input_gradient import Classifier, as_logits

# Activations whose values are probabilities, by name; their argument is zero where they are one half.
_ACTIVATIONS = ("sigmoid", "hard_sigmoid", "softmax")
# Operations of a graph that compute probabilities, and those that do not change values.
_MAKES_PROBABILITIES = ("Sigmoid", "Softmax")
_LEAVES_VALUES = ("Identity", "Reshape", "Squeeze", "ExpandDims", "Cast", "StopGradient", "EnsureShape")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Layers that do not change values.
_PASSES = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Identity, keras.layers.Dropout)


class WithoutActivation(keras.layers.Layer):
    """A layer with the same weights but without its activation."""

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The values that the activation would be applied to."""
        activation = self.layer.activation
        self.layer.activation = keras.activations.linear
        try:
            return self.layer(inputs)
        finally:
            self.layer.activation = activation


def logits_of(classifier: keras.Model) -> keras.Model:
    """A classifier that ends in a sigmoid or softmax without it, with the same weights; others unchanged.

    This is recognised only at the end of a Sequential or Functional model, nested ones included: a layer with
    that activation, an activation layer or a Keras operation. A warning is given.
    """
    ending = _ending(classifier)
    if ending is None:
        return classifier
    name, logits = ending
    warnings.warn(
        f"The classifier returns probabilities: it ends in the activation {name!r}. What that is applied to, "
        "the logit, is explained instead, with the same weights.",
        stacklevel=3,
    )
    return keras.Model(classifier.inputs[0], logits)


def refuse_probability_layer(classifier: Classifier) -> None:
    """Raise `ModelError` if the classifier's last layer shows that it returns probabilities."""
    ending = _ending(classifier)
    if ending is not None:
        _refuse(f"it ends in the activation {ending[0]!r}")


def refuse_probability_operation(classifier: Classifier, image: tf.Tensor | tf.TensorSpec) -> None:
    """Raise `ModelError` if the last operation of the classifier's graph computes probabilities.

    Args:
        classifier: callable (image, training) to logits.
        image: `tf.TensorSpec` (B, H, W, C) of its images.
    """
    operation = _last_operation(classifier, image)
    if operation in _MAKES_PROBABILITIES:
        _refuse(f"the last operation of its graph is a {operation.lower()}")


def warn_of_probabilities(classifier: Classifier, image: tf.Tensor) -> None:
    """Warn if outputs look like probabilities: they stay in [0, 1], and several of them add up to 1.

    Args:
        classifier: callable (image, training) to logits.
        image: a few typical images, (B, H, W, C); brighter, darker and noisier ones are tried as well.
    """
    noise = tf.random.stateless_normal(tf.shape(image), [0, 1], dtype=image.dtype)
    probes = [image, 100 * image, -100 * image, 100 * noise, -100 * noise]
    outputs = np.concatenate([as_logits(classifier(probe, training=False)).numpy() for probe in probes])
    suspicious = np.all((outputs >= 0) & (outputs <= 1))
    if outputs.shape[1] > 1:
        suspicious &= np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    # A constant score is not a probability: its gradient vanishes, which the status of each sample reports.
    if suspicious and np.any(np.ptp(outputs, axis=0) > 0):
        warnings.warn(
            "The classifier's output stays in [0, 1] however the image is changed. If it is a probability, S "
            "is that of a saturated score, and the boundary of the path is not that of the decision: explain "
            "logits instead. If it is a logit, nothing is wrong.",
            stacklevel=3,
        )


def _ending(classifier: Classifier) -> tuple[str, Any] | None:
    """Name of a final activation that computes probabilities, and the tensor before it; None without one."""
    # Only graphs of layers show which layer is the last one.
    try:
        (output,) = classifier.outputs
    except (AttributeError, TypeError, ValueError):  # not built, no graph of layers, or several outputs
        return None
    return _before_activation(output)


def _before_activation(tensor: Any) -> tuple[str, Any] | None:
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        return None
    operation, node_index, _ = history
    inputs = operation._inbound_nodes[node_index].input_tensors
    activation = getattr(getattr(operation, "activation", None), "__name__", "")
    if activation in _ACTIVATIONS:
        if isinstance(operation, keras.layers.Activation):
            return activation, inputs[0]
        return activation, WithoutActivation(operation)(inputs[0])
    if type(operation).__name__ in _MAKES_PROBABILITIES:
        return type(operation).__name__.lower(), inputs[0]
    if isinstance(operation, keras.Model):
        ending = _ending(operation)
        return ending and (ending[0], keras.Model(operation.inputs[0], ending[1])(inputs[0]))
    passes = isinstance(operation, keras.layers.Activation) and activation == "linear"
    if passes or isinstance(operation, _PASSES):
        ending = _before_activation(inputs[0])
        return ending and (ending[0], operation(ending[1]))
    return None


def _last_operation(classifier: Classifier, image: tf.Tensor | tf.TensorSpec) -> str | None:
    """The type of the operation that computes a classifier's output in its graph; None for several."""

    def outputs(image: tf.Tensor) -> Any:
        return classifier(image, training=False)

    graph = tf.function(outputs, autograph=False).get_concrete_function(image).graph
    tensors = graph.outputs
    while len(tensors) == 1:
        operation = tensors[0].op
        if operation.type in _CALLS:
            function = graph._get_function(operation.get_attr("f").name)
            if function is None:
                return operation.type
            graph = function.graph
            tensors = [graph.outputs[tensors[0].value_index]]
        elif operation.type in _LEAVES_VALUES:
            tensors = [operation.inputs[0]]
        else:
            return operation.type
    return None


def _refuse(evidence: str) -> NoReturn:
    raise ModelError(
        f"The classifier returns probabilities ({evidence}), and alignment needs logits: a saturated "
        "probability has no gradient left. Build the same network without its last activation, e.g. with "
        "activation=None in its last layer, and give it the same weights: "
        "new.set_weights(classifier.get_weights())."
    )
