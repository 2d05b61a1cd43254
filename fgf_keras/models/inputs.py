"""The inputs of an `AlignmentModel`: samples with masks, and perhaps spacings, origins and further inputs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.models.network import Key

# Keys of a dictionary that are not inputs of the classifier.
_MASK, _SPACING, _ORIGIN = "mask", "spacing", "origin"
# The key of the differentiated input where no other is named.
IMAGE = "image"
# The key of the clinical columns of a `LateFusion`.
CLINICAL = "clinical"


class Inputs(NamedTuple):
    """A batch of samples with masks, as tensors or as arrays.

    Attributes:
        image: (B, …, C), the differentiated input.
        mask: (B, …, 1).
        spacing: (B, s), distance of pixels along the s axes in mm, or None.
        origin: (B, 2), see `Placement.run`, or None.
        others: the other inputs of the classifier, by key.
    """

    image: Any
    mask: Any
    spacing: Any = None
    origin: Any = None
    others: Mapping[Key, Any] = {}

    def specs(self) -> dict[Key, tf.TensorSpec]:
        """Shape and type of the other inputs, with a leading axis of None."""
        return {
            key: tf.TensorSpec([None, *other.shape[1:]], other.dtype) for key, other in self.others.items()
        }


def unpack_inputs(inputs: Any, key: Key | None = None) -> Inputs:
    """Image, mask, spacing, origin and other inputs from a tuple or a dictionary.

    Args:
        inputs: (image, mask), (image, mask, spacing), or a dictionary; without a mask, everywhere.
        key: of the differentiated input in a dictionary; by default "image".

    Raises:
        ModelError: anything else.
    """
    key = IMAGE if key is None else key
    if isinstance(inputs, Mapping) and key in inputs:
        others = {
            name: value for name, value in inputs.items() if name not in (key, _MASK, _SPACING, _ORIGIN)
        }
        image, mask = inputs[key], inputs.get(_MASK)
        mask = tf.ones_like(image[..., :1]) if mask is None else mask
        return Inputs(image, mask, inputs.get(_SPACING), inputs.get(_ORIGIN), others)
    if isinstance(inputs, (tuple, list)) and len(inputs) in (2, 3):
        return Inputs(*inputs)
    content = sorted(map(str, inputs)) if isinstance(inputs, Mapping) else type(inputs).__name__
    raise ModelError(
        f"AlignmentModel takes (image, mask), (image, mask, spacing), or a dictionary with the key {key!r} "
        f"and perhaps 'mask', 'spacing', 'origin' and other inputs of the classifier. Received: {content}."
    )


def at_least_float32(inputs: Inputs) -> Inputs:
    """The inputs with image and mask in float32, or in float64 if the image is."""
    image, mask = inputs.image, inputs.mask
    dtype = image.dtype if image.dtype in (tf.float32, tf.float64) else tf.float32
    return inputs._replace(image=tf.cast(image, dtype), mask=tf.cast(mask, dtype))


def declared_inputs(classifier: Any) -> dict[str, tf.TensorSpec]:
    """Shape and type of each input of a graph of layers by name, with a leading axis of None.

    Empty for a classifier that is no graph of layers, or has one input without a key.
    """
    try:
        inputs = classifier.input
        if not isinstance(inputs, dict):
            inputs = (
                dict(zip(classifier.input_names, classifier.inputs)) if len(classifier.inputs) > 1 else {}
            )
    except AttributeError:
        return {}
    return {
        name: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name=name)
        for name, tensor in inputs.items()
    }


def input_shape(classifier: Any, key: Key | None = None) -> tuple[int | None, ...] | None:
    """The shape of a sample that a classifier declares, None for each size left open; None without one.

    Args:
        classifier: Keras model.
        key: of the differentiated input among several; by default "image".
    """
    shape = getattr(classifier, "input_shape", None)
    if isinstance(shape, tuple):
        return shape[1:] if 2 <= len(shape) <= 5 else None
    spec = declared_inputs(classifier).get(IMAGE if key is None else str(key))
    return None if spec is None else tuple(spec.shape[1:])
