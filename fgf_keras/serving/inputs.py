"""Checks of the inputs of a served model: an invalid sample gets a status and does not affect the others."""

from collections.abc import Sequence

import tensorflow as tf

from fgf_keras.config.data import IMAGE_RANGE, ROUNDING
from fgf_keras.serving.input_status import InputStatus


def checked_inputs(
    image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None, *, in_range: bool = False
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None, tf.Tensor]:
    """Valid samples unchanged, invalid ones replaced by zeros, and a status for each.

    Args:
        image: (B, …, C), images (H, W, C) or volumes (D, H, W, C).
        mask: (B, …, 1).
        spacing: (B, s), of the s axes between, or None.
        in_range: whether images must lie in the range of a bounded path inside the mask.

    Returns:
        image, mask and spacing, with zeros (and a spacing of 1) in place of invalid samples; status (B,)
        int32 of `InputStatus`.
    """
    pixels = list(range(1, image.shape.rank))
    faults = [
        (InputStatus.IMAGE_NOT_FINITE, ~tf.reduce_all(tf.math.is_finite(image), pixels)),
        (InputStatus.MASK_NOT_BINARY, ~tf.reduce_all((mask == 0) | (mask == 1), pixels)),
        (InputStatus.MASK_EMPTY, tf.reduce_all(mask == 0, pixels)),
    ]
    if spacing is not None:
        positive = tf.math.is_finite(spacing) & (spacing > 0)
        faults.append((InputStatus.SPACING_NOT_POSITIVE, ~tf.reduce_all(positive, 1)))
    if in_range:
        (low, high), seen = IMAGE_RANGE, image * mask
        inside = (seen >= low - ROUNDING) & (seen <= high + ROUNDING)
        faults.append((InputStatus.IMAGE_OUT_OF_RANGE, ~tf.reduce_all(inside, pixels)))
    status = tf.zeros([tf.shape(image)[0]], tf.int32)
    # The first fault that applies is reported.
    for code, applies in reversed(faults):
        status = tf.where(applies, int(code), status)
    good = (status == InputStatus.OK)[:, tf.newaxis]
    as_field = tf.reshape(good, [-1] + [1] * len(pixels))
    image, mask = (tf.where(as_field, field, tf.zeros_like(field)) for field in (image, mask))
    spacing = None if spacing is None else tf.where(good, spacing, tf.ones_like(spacing))
    return image, mask, spacing, status


def input_shapes(image_shape: Sequence[int]) -> dict[str, list[int]]:
    """Shapes of inputs by name, without the leading axis of samples.

    Args:
        image_shape: (H, W, C) or (D, H, W, C).
    """
    axes = list(image_shape[:-1])
    return {"image": list(image_shape), "mask": [*axes, 1], "spacing": [len(axes)]}


def require_shapes(image_shape: Sequence[int], **fields: tf.Tensor) -> list[tf.Tensor]:
    """Refuse a request whose inputs do not fit together, with INVALID_ARGUMENT; a server does not check that.

    Args:
        image_shape: (H, W, C) or (D, H, W, C).
        fields: "image", "mask" and optionally "spacing".

    Returns:
        The fields in the same order.
    """
    shapes = input_shapes(image_shape)
    fields = {name: tf.ensure_shape(field, [None, *shapes[name]]) for name, field in fields.items()}
    counts = [tf.shape(field)[0] for field in fields.values()]
    # An input of one sample would be broadcast to the others; derivatives of no samples cannot be computed.
    checks = [
        tf.debugging.assert_equal(count, counts[0], f"{' and '.join(fields)} must be of as many samples.")
        for count in counts[1:]
    ]
    checks.append(tf.debugging.assert_positive(counts[0], "A request must hold at least one sample."))
    with tf.control_dependencies(checks):
        return [tf.identity(field) for field in fields.values()]
