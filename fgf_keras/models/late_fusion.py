"""A network of an image and of clinical columns, whose logits are the sum of two parts."""

from collections.abc import Sequence
from typing import Any

import keras

from fgf_keras.errors import ModelError
from fgf_keras.models.head import logits_after
from fgf_keras.models.inputs import CLINICAL, IMAGE


@keras.saving.register_keras_serializable(package="fgf_keras")
class LateFusion(keras.Model):
    """Logits of an image part plus logits of a clinical part.

    Inputs are a dictionary of "image", as of the image part, and "clinical" (B, k); outputs are logits (B, 1)
    or (B, K). The gradient with respect to the image is that of the image part: the clinical part is a
    constant of each patient, which moves the decision boundary but not the direction to it.

    Args:
        image_part: Keras model from images to logits.
        clinical_part: Keras model from (B, k) to as many logits, e.g. `clinical_dense`.
        name: of the model.

    Raises:
        ModelError: the parts have different numbers of logits, or one name.

    Example:
        >>> LateFusion(paper_cnn((192, 192, 1)), clinical_dense(3))
    """

    def __init__(
        self, image_part: keras.Model, clinical_part: keras.Model, *, name: str = "late_fusion"
    ) -> None:
        counts = [part.output_shape[-1] for part in (image_part, clinical_part)]
        if counts[0] != counts[1]:
            raise ModelError(
                f"Both parts must have the same number of logits. Received: {counts[0]} of the image part, "
                f"{counts[1]} of the clinical part."
            )
        if image_part.name == clinical_part.name:
            raise ModelError(f"Both parts must have names of their own. Received: {image_part.name!r} twice.")
        inputs = {
            key: keras.Input(part.input_shape[1:], name=key)
            for key, part in ((IMAGE, image_part), (CLINICAL, clinical_part))
        }
        # Under mixed precision the logits of both parts are float32, and so is their sum.
        logits = keras.layers.Add(dtype=image_part.outputs[0].dtype, name="logits")(
            [image_part(inputs[IMAGE]), clinical_part(inputs[CLINICAL])]
        )
        super().__init__(inputs, logits, name=name)
        self._part_names = image_part.name, clinical_part.name

    @property
    def image_part(self) -> keras.Model:
        """The part that sees the image."""
        return self.get_layer(self._part_names[0])

    @property
    def clinical_part(self) -> keras.Model:
        """The part that sees the clinical columns."""
        return self.get_layer(self._part_names[1])

    def get_config(self) -> dict[str, Any]:
        """Keras serialisation."""
        parts = {"image_part": self.image_part, "clinical_part": self.clinical_part}
        return {key: keras.saving.serialize_keras_object(part) for key, part in parts.items()} | {
            "name": self.name
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "LateFusion":
        """Keras serialisation."""
        del custom_objects
        parts = [keras.saving.deserialize_keras_object(config[f"{key}_part"]) for key in (IMAGE, CLINICAL)]
        return cls(*parts, name=config["name"])


def clinical_dense(
    columns: int, *, classes: int = 2, dense: Sequence[int] = (), activation: str = "elu"
) -> keras.Model:
    """Logits of clinical columns: linear, or after hidden dense layers. They are 0 before training.

    Args:
        columns: k, the number of encoded columns.
        classes: 2 gives one logit, K > 2 gives K.
        dense: units of the hidden layers.
        activation: of the hidden layers.

    Returns:
        A `keras.Model` from (B, k) to logits (B, 1) or (B, K).
    """
    inputs = keras.Input((columns,), name=CLINICAL)
    logits = logits_after(inputs, dense=dense, dropout=0.0, activation=activation, classes=classes)
    part = keras.Model(inputs, logits, name="clinical_part")
    last = part.layers[-1]
    last.set_weights([weight * 0 for weight in last.get_weights()])
    return part
