"""Rotations of slices with their tumours."""

import tensorflow as tf


def rotations(centre, spacing, angle):
    """Rotations about a point, in mm whatever the spacing, as `rotated` takes them.

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


def rotated(field, rotation, *, surroundings):
    """A slice with its tumour, turned.

    Inside the mask a pixel is the mean of the tumour pixels around it, weighted by distance, and takes
    nothing from outside: slices that are masked already would get a dark rim otherwise. A tumour so thin that
    nothing is left of it stays as it was.

    Args:
        field: (H, W, 2), image and mask in {0, 1}.
        rotation: (8,), one of `rotations`.
        surroundings: what is outside of the mask is turned too; else it must be 0, and is.

    Returns:
        As `field`.
    """

    def warped(x, fill):
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
        # NEAREST, because what lies beyond the canvas is more of the same and not air.
        around = warped(image, "NEAREST")
        tumour = tf.concat([image * mask, mask], axis=-1)
    value, share = tf.split(warped(tumour, "CONSTANT"), 2, axis=-1)
    inside = share > 0.5
    # Quotients of rounded numbers may pass 1 by a rounding error.
    turned = tf.clip_by_value(tf.where(inside, tf.math.divide_no_nan(value, share), around), 0.0, 1.0)
    turned = tf.concat([turned, tf.cast(inside, field.dtype)], axis=-1)
    return tf.where(tf.reduce_any(inside), turned, field)
