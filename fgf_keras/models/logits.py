"""Checks that a classifier returns logits, and the logits of a classifier that returns probabilities."""

import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from fgf_keras.errors import ModelError
from fgf_keras.models.input_gradient import Classifier, as_logits
from fgf_keras.models.network import Network

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


def logits_of(classifier: Any, output: str | int | None = None) -> Any:
    """A classifier that ends in a sigmoid or softmax without it, with the same weights; others unchanged.

    This is recognised only at the end of a Sequential or Functional model, nested ones included: a layer with
    that activation, an activation layer or a Keras operation. A warning is given.

    Args:
        classifier: Keras model, or anything else, which is returned unchanged.
        output: key, position or name of one of several outputs; the model that is returned has that one.
    """
    tensor = _output_of(classifier, output)
    if tensor is None:
        return classifier
    ending = _before_activation(tensor)
    if ending is not None:
        _warn_of_removal(ending[0])
    elif output is None:
        return classifier
    try:
        inputs = classifier.input
    except AttributeError:  # a Sequential model that has not been called
        inputs = classifier.inputs[0]
    return keras.Model(inputs, tensor if ending is None else ending[1])


def has_one_output(classifier: Any) -> bool:
    """Whether a classifier is a graph of layers with a single output."""
    return _output_of(classifier, None) is not None


def remove_probability(network: Network, specs: Sequence[tf.TensorSpec]) -> bool:
    """Let a network return what a final sigmoid or softmax of its graph is applied to; a warning is given.

    Inside a function that was traced elsewhere, such as one of a SavedModel, the weights are constants
    afterwards, those of this moment; so they are if it has a loop, as recurrent layers do.

    Args:
        network: of any callable; unchanged if its graph ends in something else.
        specs: of its differentiated input and the others.

    Returns:
        Whether there was one.

    Raises:
        ModelError: the probabilities are rearranged before they are returned.
    """
    graph = tf.function(lambda image, *others: network.output(image, others, False), autograph=False)
    function = graph.get_concrete_function(*specs)
    operation, traced_elsewhere = _last_operation(function.graph)
    ends_in_probability = operation in _MAKES_PROBABILITIES
    if not traced_elsewhere:
        if ends_in_probability:
            network.end_before(before_probability)
    elif ends_in_probability or _has_loop(function):
        # In a graph, a loop that was traced elsewhere has a gradient only if its weights are constants.
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
        if ends_in_probability:
            frozen = frozen.prune(frozen.inputs, before_probability(frozen.outputs[0]))
        network.replace_call(frozen)
    if ends_in_probability:
        _warn_of_removal(str(operation).lower())
    return ends_in_probability


def before_probability(tensor: tf.Tensor) -> tf.Tensor:
    """What the final sigmoid or softmax of a graph is applied to, given the tensor that it ends in."""
    start = tensor
    while tensor.op.type in _LEAVES_VALUES:
        tensor = tensor.op.inputs[0]
    tensor = tensor.op.inputs[0]
    if start.shape.rank == 2 and tensor.shape.rank == 2 and start.shape[1] != tensor.shape[1]:
        _refuse("its probabilities are rearranged before they are returned")
    return tensor


def refuse_probability_layer(classifier: Classifier) -> None:
    """Raise `ModelError` if the classifier's last layer shows that it returns probabilities."""
    ending = _ending(classifier)
    if ending is not None:
        _refuse(f"it ends in the activation {ending[0]!r}")


def refuse_probability_operation(classifier: Classifier, *specs: tf.TensorSpec) -> None:
    """Raise `ModelError` if the last operation of the classifier's graph computes probabilities.

    Args:
        classifier: callable (image, training) to logits, `bound` to other inputs if there are any.
        specs: of its images and of the other inputs.
    """

    def outputs(image: tf.Tensor, *others: tf.Tensor) -> Any:
        return (classifier.bound(others) if others else classifier)(image, training=False)

    function = tf.function(outputs, autograph=False).get_concrete_function(*specs)
    operation, _ = _last_operation(function.graph)
    if operation in _MAKES_PROBABILITIES:
        _refuse(f"the last operation of its graph is a {operation.lower()}")


def warn_of_probabilities(classifier: Classifier, image: tf.Tensor) -> None:
    """Warn if outputs look like probabilities: they stay in [0, 1], and several of them add up to 1.

    Args:
        classifier: callable (image, training) to logits, bound to its other inputs.
        image: a few typical images, (B, …, C); brighter, darker and noisier ones are tried as well.

    Raises:
        ModelError: there is not one row of outputs per sample.
    """
    noise = tf.random.stateless_normal(tf.shape(image), [0, 1], dtype=image.dtype)
    probes = [image, 100 * image, -100 * image, 100 * noise, -100 * noise]
    outputs = np.concatenate([as_logits(classifier(probe, training=False)).numpy() for probe in probes])
    if len(outputs) != len(probes) * len(image):
        raise ModelError(
            f"The classifier must return one row of logits per sample. Received: "
            f"{len(outputs) // len(probes)} for {len(image)} samples."
        )
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
    tensor = _output_of(classifier, None)
    return None if tensor is None else _before_activation(tensor)


def _output_of(classifier: Any, key: str | int | None) -> Any:
    """An output of a graph of layers, by default the only one; None without such a graph or output."""
    # Only graphs of layers show which layer is the last one.
    if not isinstance(classifier, keras.Model):
        return None
    try:
        if key is None:
            (tensor,) = classifier.outputs
            return tensor
        outputs = classifier.output
        if isinstance(key, str) and not isinstance(outputs, dict):
            outputs = dict(zip(classifier.output_names, classifier.outputs))
        return outputs[key]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # not built, or several outputs
        return None


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


def _last_operation(graph: Any) -> tuple[str | None, bool]:
    """The type of the operation that computes the output of a graph, and whether it is in a function called.

    None for several outputs.
    """
    tensors, called = graph.outputs, False
    while len(tensors) == 1:
        operation = tensors[0].op
        if operation.type in _CALLS:
            called = True
            function = graph._get_function(operation.get_attr("f").name)
            if function is None:
                return operation.type, called
            graph = function.graph
            tensors = [graph.outputs[tensors[0].value_index]]
        elif operation.type in _LEAVES_VALUES:
            tensors = [operation.inputs[0]]
        else:
            return operation.type, called
    return None, called


def _has_loop(function: Any) -> bool:
    """Whether a recurrent layer or another loop is in one of the functions that a graph calls."""
    called = function.graph.as_graph_def().library.function
    return any(node.op in ("While", "StatelessWhile") for inner in called for node in inner.node_def)


def _warn_of_removal(name: str) -> None:
    warnings.warn(
        f"The classifier returns probabilities: it ends in the activation {name!r}. What that is applied to, "
        "the logit, is explained instead, with the same weights.",
        stacklevel=5,
    )


def _refuse(evidence: str) -> NoReturn:
    raise ModelError(
        f"The classifier returns probabilities ({evidence}), and alignment needs logits: a saturated "
        "probability has no gradient left. Build the same network without its last activation, e.g. with "
        "activation=None in its last layer, and give it the same weights: "
        "new.set_weights(classifier.get_weights())."
    )
