"""Whether a classifier returns logits, and what to explain where it returns probabilities."""

import warnings

import keras
import numpy as np
import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.models.input_gradient import Classifier, as_logits

# Activations whose values are probabilities, by name; what they are applied to has its zero at one half.
_ACTIVATIONS = ("sigmoid", "hard_sigmoid", "softmax")
# Operations in a graph that make probabilities, and those that leave values as they are.
_MAKES_PROBABILITIES = ("Sigmoid", "Softmax")
_LEAVES_VALUES = ("Identity", "Reshape", "Squeeze", "ExpandDims", "Cast", "StopGradient", "EnsureShape")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Layers after which values are still those before.
_PASSES = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Identity, keras.layers.Dropout)


class WithoutActivation(keras.layers.Layer):
    """A layer as it is, weights and all, but for its activation, which is left away."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, inputs):
        """What the activation would be applied to."""
        activation = self.layer.activation
        self.layer.activation = keras.activations.linear
        try:
            return self.layer(inputs)
        finally:
            self.layer.activation = activation


def logits_of(classifier: keras.Model) -> keras.Model:
    """A classifier that ends in a sigmoid or softmax without it, with the same weights; others as they are.

    Only where its last layer says so: a layer with that activation, an activation layer or an operation of
    Keras, also in a nested model, of a Sequential or Functional model. A warning says it.
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
    """Raise `ModelError` if the classifier's last layer says that it returns probabilities."""
    ending = _ending(classifier)
    if ending is not None:
        _refuse(f"it ends in the activation {ending[0]!r}")


def refuse_probability_operation(classifier: Classifier, image: tf.Tensor | tf.TensorSpec) -> None:
    """Raise `ModelError` if the last operation of the classifier's graph makes probabilities.

    Args:
        classifier: callable (image, training) to logits.
        image: `tf.TensorSpec` (B, H, W, C) of what it sees.
    """
    operation = _last_operation(classifier, image)
    if operation in _MAKES_PROBABILITIES:
        _refuse(f"the last operation of its graph is a {operation.lower()}")


def warn_of_probabilities(classifier: Classifier, image: tf.Tensor) -> None:
    """Warn where outputs look like probabilities: they stay in [0, 1], and add up to 1 if they are several.

    Args:
        classifier: callable (image, training) to logits.
        image: a few images it may see, (B, H, W, C); brighter, darker and noisier ones are tried as well.
    """
    noise = tf.random.stateless_normal(tf.shape(image), [0, 1], dtype=image.dtype)
    probes = [image, 100 * image, -100 * image, 100 * noise, -100 * noise]
    outputs = np.concatenate([as_logits(classifier(probe, training=False)).numpy() for probe in probes])
    alike = np.all((outputs >= 0) & (outputs <= 1))
    if outputs.shape[1] > 1:
        alike &= np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    # A constant score is no probability: its gradient vanishes, which each sample then says.
    if alike and np.any(np.ptp(outputs, axis=0) > 0):
        warnings.warn(
            "The classifier's output stays in [0, 1] however the image is changed. If it is a probability, S "
            "is that of a saturated score, and the boundary of the path is not that of the decision: explain "
            "logits instead. If it is a logit, nothing is wrong.",
            stacklevel=3,
        )


def _ending(classifier):
    """Name of the activation that makes probabilities at the end, and the tensor before it; None without."""
    # Only graphs of layers say which layer is the last one.
    try:
        (output,) = classifier.outputs
    except (AttributeError, TypeError, ValueError):  # not built, no graph of layers, or several outputs
        return None
    return _before_activation(output)


def _before_activation(tensor):
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


def _last_operation(classifier, image):
    """The type of the operation that makes a classifier's output in its graph, None for several outputs."""

    def outputs(image):
        return classifier(image, training=False)

    graph = tf.function(outputs, autograph=False).get_concrete_function(image).graph
    made = graph.outputs
    while len(made) == 1:
        operation = made[0].op
        if operation.type in _CALLS:
            function = graph._get_function(operation.get_attr("f").name)
            if function is None:
                return operation.type
            graph = function.graph
            made = [graph.outputs[made[0].value_index]]
        elif operation.type in _LEAVES_VALUES:
            made = [operation.inputs[0]]
        else:
            return operation.type
    return None


def _refuse(evidence):
    raise ModelError(
        f"The classifier returns probabilities ({evidence}), and alignment needs logits: a saturated "
        "probability has no gradient left. Build the same network without its last activation, e.g. with "
        "activation=None in its last layer, and give it the same weights: "
        "new.set_weights(classifier.get_weights())."
    )
