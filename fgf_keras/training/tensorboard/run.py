"""What TensorBoard shows of a run as a whole: its settings, its surroundings, its network."""

import tensorflow as tf

from fgf_keras.config import Config, dump_yaml
from fgf_keras.geometry.custom_gradients import forgotten_custom_gradients
from fgf_keras.models.input_gradient import Classifier
from fgf_keras.training.tensorboard.writers import SummaryWriters


def write_run(
    writers: SummaryWriters, config: Config, surroundings: dict | None, classifier: Classifier
) -> None:
    """Write the resolved configuration and the environment as text, layers and operations as graphs.

    Args:
        writers: of the run "train".
        config: of the run.
        surroundings: as environment.json holds them, or None.
        classifier: Keras model that is a graph of layers.
    """
    # What the graph page knows a Keras model by.
    layers = tf.compat.v1.SummaryMetadata()
    layers.plugin_data.plugin_name = "graph_keras_model"
    layers.plugin_data.content = b"1"
    with writers.run("train", 0):
        tf.summary.text("run/config", f"```yaml\n{dump_yaml(config)}```")
        if surroundings is not None:
            tf.summary.text("run/environment", _table(surroundings))
        tf.summary.write("keras", classifier.to_json(), metadata=layers)
        # The page opens on operations, and shows an error where there are layers alone.
        tf.summary.graph(_operations(classifier))
    writers.flush()


def _operations(classifier):
    (image,) = classifier.inputs
    # `call`, because the page would show what is in the scope of a whole model as a closed box.
    traced = tf.function(lambda image: classifier.call(image, training=False), autograph=False)
    with forgotten_custom_gradients():
        return traced.get_concrete_function(tf.TensorSpec(image.shape, image.dtype)).graph


def _table(tree):
    rows = [f"| {key} | {value} |" for key, value in _leaves(tree)]
    return "\n".join(["| | |", "|---|---|", *rows])


def _leaves(tree, prefix=""):
    """Dotted names and texts of all that a tree of dictionaries holds."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{prefix}{key}", text.replace("|", "\\|")
