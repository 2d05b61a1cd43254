"""The inputs of an `AlignmentModel`: images with masks, and perhaps spacings and origins."""

from typing import Any, NamedTuple

import tensorflow as tf

from fgf_keras.errors import ModelError


class Inputs(NamedTuple):
    """A batch of images with masks, as tensors or as arrays.

    Attributes:
        image: (B, H, W, C).
        mask: (B, H, W, 1).
        spacing: (B, 2), (row, column) distance of pixels in mm, or None.
        origin: (B, 2), see `Placement.run`, or None.
    """

    image: Any
    mask: Any
    spacing: Any = None
    origin: Any = None


def unpack_inputs(inputs: Any) -> Inputs:
    """Image, mask, spacing and origin from a tuple or a dictionary.

    Raises:
        ModelError: anything else.
    """
    if isinstance(inputs, dict) and {"image", "mask"} <= set(inputs):
        return Inputs(inputs["image"], inputs["mask"], inputs.get("spacing"), inputs.get("origin"))
    if isinstance(inputs, (tuple, list)) and len(inputs) in (2, 3):
        return Inputs(*inputs)
    content = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
    raise ModelError(
        "AlignmentModel takes (image, mask), (image, mask, spacing), or a dictionary with the keys 'image', "
        f"'mask' and perhaps 'spacing' and 'origin'. Received: {content}."
    )


def at_least_float32(inputs: Inputs) -> Inputs:
    """The inputs with image and mask in float32, or in float64 if the image is."""
    image, mask = inputs.image, inputs.mask
    dtype = image.dtype if image.dtype in (tf.float32, tf.float64) else tf.float32
    return inputs._replace(image=tf.cast(image, dtype), mask=tf.cast(mask, dtype))


def input_shape(classifier: Any) -> tuple[int | None, ...] | None:
    """The (H, W, C) that a classifier declares, None for each size left open; None if it declares nothing."""
    shape = getattr(classifier, "input_shape", None)
    return shape[1:] if isinstance(shape, tuple) and len(shape) == 4 else None
