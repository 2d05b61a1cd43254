"""Moments of an image inside a mask: the mass, its centre and its spread, in mm.

Sequences and volumes have `moments_nd.py`; two axes have closed forms, which are faster.

w = x·m (mean over channels), s = Σw, μ = Σ w r / s, C = Σ w (r-μ)(r-μ)ᵀ / s, with eigenvalues λ₁ ≥ λ₂.
"""

from typing import NamedTuple

import tensorflow as tf

from fgf_keras.errors import FeatureError


class Moments(NamedTuple):
    """Weighted moments of (B, H, W) weights; y counts down the rows, x along the columns.

    Attributes:
        total: (B,), s.
        dy: (B, H, 1), row positions minus the centre, mm.
        dx: (B, 1, W), column positions minus the centre, mm.
        yy: (B,), C_yy in mm².
        xx: (B,), C_xx in mm².
        yx: (B,), C_yx in mm².
    """

    total: tf.Tensor
    dy: tf.Tensor
    dx: tf.Tensor
    yy: tf.Tensor
    xx: tf.Tensor
    yx: tf.Tensor

    @property
    def trace(self) -> tf.Tensor:
        """λ₁ + λ₂ in mm², (B,)."""
        return self.yy + self.xx

    @property
    def anisotropy(self) -> tf.Tensor:
        """λ₁ - λ₂ in mm², (B,); 0 with a derivative of 0 where the two are equal up to rounding."""
        difference = self.yy - self.xx
        square = difference**2 + 4 * self.yx**2
        floor = (ROUND[square.dtype] * self.trace) ** 2
        uneven = square > floor
        return tf.where(
            uneven, tf.sqrt(tf.where(uneven, square, tf.ones_like(square))), tf.zeros_like(square)
        )

    @property
    def are_of_a_tumour(self) -> tf.Tensor:
        """(B,) bool, whether the mass and both variances are those of intensities, not negative."""
        smallest = (self.trace - self.anisotropy) / 2
        return (self.total > 0) & (smallest >= -ROUND[smallest.dtype] * tf.abs(self.trace))


# λ₁ - λ₂ below this part of λ₁ + λ₂ is rounding: the tumour is round and has no major axis.
ROUND = {tf.float32: 1e-6, tf.float64: 1e-13}


def weights(image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """w = x·m, mean over channels, (B, *spatial)."""
    return tf.reduce_mean(image, axis=-1) * tf.cast(mask[..., 0], image.dtype)


def pixel_spacing(spacing: tf.Tensor | None, like: tf.Tensor) -> tf.Tensor:
    """Spacing of pixels as (B or 1, 2) mm in the type of `like`; 1 mm where it is None."""
    return axis_spacing(spacing, 2, like.dtype)


def axis_spacing(spacing: tf.Tensor | None, axes: int, dtype: tf.DType) -> tf.Tensor:
    """Spacing along each axis as (B or 1, axes) mm; 1 mm where it is None.

    Raises:
        FeatureError: there is not one distance per axis.
    """
    if spacing is None:
        return tf.ones([1, axes], dtype)
    spacing = tf.convert_to_tensor(spacing, dtype_hint=dtype)
    if spacing.shape.rank is not None and (spacing.shape.rank == 0 or spacing.shape[-1] not in (axes, None)):
        raise FeatureError(
            f"spacing is one distance per spatial axis, (B, {axes}) or ({axes},) in mm, in the order of the "
            f"axes. Received: shape={tuple(spacing.shape)}."
        )
    return tf.reshape(tf.cast(spacing, dtype), [-1, axes])


def image_moments(weights: tf.Tensor, spacing: tf.Tensor | None = None) -> Moments:
    """Moments of weights (B, H, W); all zero where the weights sum to zero."""
    mm = pixel_spacing(spacing, weights)
    height, width = tf.shape(weights)[1], tf.shape(weights)[2]
    # Positions are counted from the middle of the canvas: the centre is then a small number, exact in
    # float32.
    y = (tf.range(height, dtype=tf.int32) - height // 2)[tf.newaxis, :, tf.newaxis]
    x = (tf.range(width, dtype=tf.int32) - width // 2)[tf.newaxis, tf.newaxis, :]
    y = tf.cast(y, weights.dtype) * mm[:, 0, tf.newaxis, tf.newaxis]
    x = tf.cast(x, weights.dtype) * mm[:, 1, tf.newaxis, tf.newaxis]
    rows = tf.reduce_sum(weights, axis=2, keepdims=True)
    columns = tf.reduce_sum(weights, axis=1, keepdims=True)
    total = tf.reduce_sum(rows, axis=[1, 2])

    def mean(weighted: tf.Tensor) -> tf.Tensor:
        return tf.math.divide_no_nan(tf.reduce_sum(weighted, axis=[1, 2]), total)

    dy = y - mean(rows * y)[:, tf.newaxis, tf.newaxis]
    dx = x - mean(columns * x)[:, tf.newaxis, tf.newaxis]
    mixed = mean(dy * tf.matmul(weights, dx, transpose_b=True))
    return Moments(total, dy, dx, mean(rows * dy**2), mean(columns * dx**2), mixed)


def as_field(per_pixel: tf.Tensor, image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """A derivative with respect to w, (B, *spatial), as one with respect to the image, (B, *spatial, C)."""
    channels = image.shape[-1]
    field = per_pixel[..., tf.newaxis] * tf.cast(mask, image.dtype) / channels
    return field if channels == 1 else tf.repeat(field, channels, axis=-1)
