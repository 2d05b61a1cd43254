"""The run as a whole in TensorBoard: its settings, its environment, its network."""

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from fgf_keras.config import Config, dump_yaml
from fgf_keras.geometry.custom_gradients import forgotten_custom_gradients
from fgf_keras.models.input_gradient import Classifier
from fgf_keras.training.tensorboard.writers import SummaryWriters


def write_run(
    writers: SummaryWriters, config: Config, environment: Mapping[str, Any] | None, classifier: Classifier
) -> None:
    """Write the resolved configuration and the environment as text, layers and operations as graphs.

    Args:
        writers: of the run "train".
        config: of the run.
        environment: the content of environment.json, or None.
        classifier: Keras model that is a graph of layers.
    """
    # The metadata by which the graph page recognises a Keras model.
    layers = tf.compat.v1.SummaryMetadata()
    layers.plugin_data.plugin_name = "graph_keras_model"
    layers.plugin_data.content = b"1"
    with writers.run("train", 0):
        tf.summary.text("run/config", f"```yaml\n{dump_yaml(config)}```")
        if environment is not None:
            tf.summary.text("run/environment", _table(environment))
        tf.summary.write("keras", classifier.to_json(), metadata=layers)
        # The page opens with the operations, and shows an error if there are only layers.
        tf.summary.graph(_operations(classifier))
    writers.flush()


def _operations(classifier: Classifier) -> tf.Graph:
    specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), classifier.input)
    # `call`, because the page would collapse the scope of a whole model into a single node.
    traced = tf.function(lambda inputs: classifier.call(inputs, training=False), autograph=False)
    with forgotten_custom_gradients():
        return traced.get_concrete_function(specs).graph


def _table(tree: Mapping[str, Any]) -> str:
    rows = [f"| {key} | {value} |" for key, value in _leaves(tree)]
    return "\n".join(["| | |", "|---|---|", *rows])


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted name and text of each value in a tree of dictionaries."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{prefix}{key}", text.replace("|", "\\|")
