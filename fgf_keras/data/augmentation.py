"""Random rotations of slices with their tumour masks."""

import tensorflow as tf


def rotations(centre: tf.Tensor, spacing: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Transforms for `rotated`: rotations about a point, in mm regardless of the pixel spacing.

    Args:
        centre: (B, 2) row and column.
        spacing: (B, 2) mm.
        angle: (B,) radians.

    Returns:
        (B, 8) projective transforms from output to input pixels, column first.
    """
    y, x = centre[:, 0], centre[:, 1]
    ratio = spacing[:, 0] / spacing[:, 1]
    cos, sin = tf.cos(angle), tf.sin(angle)
    x_by_y, y_by_x = -sin * ratio, sin / ratio
    zero = tf.zeros_like(x)
    return tf.stack(
        [cos, x_by_y, x - cos * x - x_by_y * y, y_by_x, cos, y - y_by_x * x - cos * y, zero, zero], axis=1
    )


def rotated(field: tf.Tensor, rotation: tf.Tensor, *, surroundings: bool) -> tf.Tensor:
    """Rotate a slice together with its tumour mask.

    Inside the mask, a pixel is interpolated from tumour pixels only: otherwise, slices that are already
    masked would get a dark rim. A tumour so thin that nothing would remain of it is not rotated.

    Args:
        field: (H, W, 2), image and mask in {0, 1}; or (H, W, 2D), the images of D slices, then their masks.
        rotation: (8,), one of `rotations`.
        surroundings: whether to rotate the pixels outside the mask as well; otherwise they must be 0 and
            stay 0.

    Returns:
        The rotated field, with the shape of `field`.
    """

    def warped(x: tf.Tensor, fill: str) -> tf.Tensor:
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=x[tf.newaxis],
            transforms=rotation[tf.newaxis],
            output_shape=tf.shape(x)[:2],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode=fill,
        )[0]

    around = 0.0
    tumour = field
    if surroundings:
        image, mask = tf.split(field, 2, axis=-1)
        # NEAREST, because beyond the canvas there is more tissue, not air.
        around = warped(image, "NEAREST")
        tumour = tf.concat([image * mask, mask], axis=-1)
    value, share = tf.split(warped(tumour, "CONSTANT"), 2, axis=-1)
    inside = share > 0.5
    # Quotients of rounded numbers may exceed 1 by a rounding error.
    image_rotated = tf.clip_by_value(tf.where(inside, tf.math.divide_no_nan(value, share), around), 0.0, 1.0)
    field_rotated = tf.concat([image_rotated, tf.cast(inside, field.dtype)], axis=-1)
    return tf.where(tf.reduce_any(inside), field_rotated, field)
