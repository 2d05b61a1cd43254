"""What a served model does about samples that it cannot use: a status each, and no harm to the others."""

from collections.abc import Sequence

import tensorflow as tf

from fgf_keras.serving.input_status import InputStatus


def checked_inputs(
    image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None, tf.Tensor]:
    """Samples that can be measured as they are, others with nothing in their place.

    Args:
        image: (B, H, W, C).
        mask: (B, H, W, 1).
        spacing: (B, 2), or None.

    Returns:
        image, mask and spacing, with zeros (and a spacing of 1) in place of samples that are refused; status
        (B,) int32 of `InputStatus`.
    """
    pixels = [1, 2, 3]
    faults = [
        (InputStatus.IMAGE_NOT_FINITE, ~tf.reduce_all(tf.math.is_finite(image), pixels)),
        (InputStatus.MASK_NOT_BINARY, ~tf.reduce_all((mask == 0) | (mask == 1), pixels)),
        (InputStatus.MASK_EMPTY, tf.reduce_all(mask == 0, pixels)),
    ]
    if spacing is not None:
        positive = tf.math.is_finite(spacing) & (spacing > 0)
        faults.append((InputStatus.SPACING_NOT_POSITIVE, ~tf.reduce_all(positive, 1)))
    status = tf.zeros_like(image[:, 0, 0, 0], tf.int32)
    # The first that applies is reported.
    for code, found in reversed(faults):
        status = tf.where(found, int(code), status)
    good = (status == InputStatus.OK)[:, tf.newaxis]
    as_field = good[:, :, tf.newaxis, tf.newaxis]
    image, mask = (tf.where(as_field, field, tf.zeros_like(field)) for field in (image, mask))
    spacing = None if spacing is None else tf.where(good, spacing, tf.ones_like(spacing))
    return image, mask, spacing, status


def input_shapes(image_shape) -> dict:
    """Shapes of inputs by name, without their leading axis of samples.

    Args:
        image_shape: (H, W, C).
    """
    height, width, channels = image_shape
    return {"image": [height, width, channels], "mask": [height, width, 1], "spacing": [2]}


def require_shapes(image_shape: Sequence[int], **fields: tf.Tensor) -> list[tf.Tensor]:
    """Refuse a request whose parts do not fit, with INVALID_ARGUMENT; a server does not check it.

    Args:
        image_shape: (H, W, C).
        fields: "image", "mask" and perhaps "spacing".

    Returns:
        The same, in the same order.
    """
    shapes = input_shapes(image_shape)
    fields = {name: tf.ensure_shape(field, [None, *shapes[name]]) for name, field in fields.items()}
    counts = [tf.shape(field)[0] for field in fields.values()]
    # One of one sample would be spread over all of the other; of none, derivatives cannot be computed.
    checks = [
        tf.debugging.assert_equal(count, counts[0], f"{' and '.join(fields)} must be of as many samples.")
        for count in counts[1:]
    ]
    checks.append(tf.debugging.assert_positive(counts[0], "A request must hold at least one sample."))
    with tf.control_dependencies(checks):
        return [tf.identity(field) for field in fields.values()]
