"""What an `AlignmentModel` is given: images with masks, and what it must be."""

from typing import Any

import tensorflow as tf

from fgf_keras.errors import ModelError


def unpack_inputs(inputs: Any) -> tuple[Any, Any, Any, Any]:
    """(image, mask, spacing or None, origin or None) from a tuple or a dictionary.

    Raises:
        ModelError: anything else.
    """
    if isinstance(inputs, dict) and {"image", "mask"} <= set(inputs):
        return inputs["image"], inputs["mask"], inputs.get("spacing"), inputs.get("origin")
    if isinstance(inputs, (tuple, list)) and len(inputs) in (2, 3):
        return (*inputs, *[None] * (4 - len(inputs)))
    what = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
    raise ModelError(
        "AlignmentModel takes (image, mask), (image, mask, spacing), or a dictionary with the keys 'image', "
        f"'mask' and perhaps 'spacing' and 'origin'. Received: {what}."
    )


def at_least_float32(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The same in float32, or in float64 where the image is."""
    dtype = image.dtype if image.dtype in (tf.float32, tf.float64) else tf.float32
    return tf.cast(image, dtype), tf.cast(mask, dtype)


def input_shape(classifier: Any) -> tuple[int | None, ...] | None:
    """(H, W, C) that a classifier says it takes, None for what it leaves open; None where it does not say."""
    shape = getattr(classifier, "input_shape", None)
    return shape[1:] if isinstance(shape, tuple) and len(shape) == 4 else None
