"""Flips and rotations of slices with their tumours."""

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


def flipped(field, step):
    """A field (H, W, C), mirrored along the axes whose `step` (2,) is -1 and not 1."""
    return field[:: step[0], :: step[1]]


def rotated(image, mask, rotation, *, surroundings):
    """A slice with its tumour, turned.

    Inside the mask a pixel is the mean of the tumour pixels around it, weighted by distance, and takes
    nothing from outside: slices that are masked already would get a dark rim otherwise. A tumour so thin that
    nothing is left of it stays as it was.

    Args:
        image: (H, W, 1).
        mask: (H, W, 1) in {0, 1}, of the type of the image.
        rotation: (8,), one of `rotations`.
        surroundings: what is outside of the mask is turned too; else it is 0.

    Returns:
        Image and mask.
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

    tumour = warped(tf.concat([image * mask, mask], axis=-1), "CONSTANT")
    share = tumour[..., 1:]
    inside = share > 0.5
    # NEAREST, because what lies beyond the canvas is more of the same and not air.
    around = warped(image, "NEAREST") if surroundings else tf.zeros_like(image)
    turned = tf.where(inside, tf.math.divide_no_nan(tumour[..., :1], share), around)
    # Quotients of rounded numbers may pass 1 by a rounding error.
    turned = tf.clip_by_value(turned, 0.0, 1.0)
    kept = tf.reduce_any(inside)
    return tf.where(kept, turned, image), tf.where(kept, tf.cast(inside, mask.dtype), mask)
