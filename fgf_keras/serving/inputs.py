"""Checks of the inputs of a served model: an invalid sample gets a status and does not affect the others."""

from collections.abc import Sequence

import tensorflow as tf

from fgf_keras.config.data import IMAGE_RANGE, ROUNDING
from fgf_keras.geometry.products import per_sample
from fgf_keras.serving.input_status import InputStatus


def checked_inputs(
    image: tf.Tensor,
    mask: tf.Tensor,
    spacing: tf.Tensor | None = None,
    *others: tf.Tensor,
    in_range: bool = False,
) -> tuple[list[tf.Tensor | None], tf.Tensor]:
    """Valid samples unchanged, invalid ones replaced by zeros, and a status for each.

    Args:
        image: (B, …, C).
        mask: (B, …, 1).
        spacing: (B, s), or None.
        others: (B, …), other inputs of the classifier.
        in_range: whether images must lie in the range of a bounded path inside the mask.

    Returns:
        image, mask, spacing and the others, with zeros (and a spacing of 1) in place of invalid samples;
        status (B,) int32 of `InputStatus`.
    """
    pixels = range(1, len(image.shape))
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
    for other in others:
        if other.dtype.is_floating:
            finite = tf.reduce_all(tf.math.is_finite(other), range(1, len(other.shape)))
            faults.append((InputStatus.INPUT_NOT_FINITE, ~finite))
    status = tf.zeros([tf.shape(image)[0]], tf.int32)
    # The first fault that applies is reported.
    for code, applies in reversed(faults):
        status = tf.where(applies, int(code), status)
    good = status == InputStatus.OK

    def valid(field: tf.Tensor, fill: float = 0) -> tf.Tensor:
        if field.dtype == tf.string:
            return field
        return tf.where(per_sample(good, field), field, tf.cast(fill, field.dtype))

    spacing = None if spacing is None else valid(spacing, 1)
    return [valid(image), valid(mask), spacing, *map(valid, others)], status


def input_shapes(image_shape: Sequence[int]) -> dict[str, list[int]]:
    """Shapes of inputs by name, without the leading axis of samples.

    Args:
        image_shape: of one sample, e.g. (H, W, C).
    """
    *axes, channels = image_shape
    return {"image": [*axes, channels], "mask": [*axes, 1], "spacing": [len(axes)]}


def require_shapes(
    image_shape: Sequence[int], others: Sequence[tf.TensorSpec] = (), **fields: tf.Tensor
) -> list[tf.Tensor]:
    """Refuse a request whose inputs do not fit together, with INVALID_ARGUMENT; a server does not check that.

    Args:
        image_shape: of one sample, e.g. (H, W, C).
        others: specs of the other inputs of the classifier.
        fields: "image", "mask" and optionally "spacing", and the other inputs by name.

    Returns:
        The fields in the same order.
    """
    shapes = input_shapes(image_shape) | {spec.name: spec.shape[1:] for spec in others}
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


def stored_type(dtype: tf.DType) -> tf.DType:
    """The type in which a `tf.train.Example` holds an input: float32, int64 or bytes."""
    if dtype == tf.string:
        return dtype
    return tf.float32 if dtype.is_floating else tf.int64
