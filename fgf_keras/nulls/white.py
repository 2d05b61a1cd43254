"""White noise as a null: the exact distribution of its alignment, and draws of it."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from scipy import stats

from fgf_keras.features.linear_noise import white_field
from fgf_keras.geometry.alignment import Products, pointwise_alignment, pseudo_inverse
from fgf_keras.geometry.products import inner_products, on_support
from fgf_keras.geometry.windows import Edges, crop_one

# The smallest p-value.
SMALLEST = float(np.finfo(np.float64).tiny)


def white_null(dimension: int, rank: int = 1) -> Any:
    """The law of alignment with white noise: Beta(rank/2, (dimension - rank)/2), mean rank/dimension.

    Args:
        dimension: number of pixels (times channels) of the support.
        rank: K-1 for one random feature against a section of K classes; the number of independent features
            for the joint share of random features against a gradient.

    Returns:
        A frozen `scipy.stats` distribution.

    Raises:
        ValueError: `rank` is not below `dimension`; alignment is then 1 with certainty.
    """
    if not 0 < rank < dimension:
        raise ValueError(f"white_null needs 0 < rank < dimension. Got rank={rank}, dimension={dimension}.")
    return stats.beta(rank / 2, (dimension - rank) / 2)


def white_p_value(alignment: ArrayLike, dimension: ArrayLike, rank: ArrayLike = 1) -> np.ndarray:
    """P(S ≥ alignment) under `white_null`, elementwise; 1 where rank ≥ dimension, NaN for an S of NaN."""
    alignment, dimension, rank = np.broadcast_arrays(
        np.asarray(alignment, np.float64), np.asarray(dimension, np.float64), np.asarray(rank, np.float64)
    )
    p_value = np.where(np.isnan(alignment), np.nan, 1.0)
    proper = (rank > 0) & (rank < dimension) & ~np.isnan(alignment)
    d, k = dimension[proper], rank[proper]
    # Never 0: no p-value is, and one smaller than a float64 can be is at most that.
    p_value[proper] = np.maximum(stats.beta.sf(alignment[proper], k / 2, (d - k) / 2), SMALLEST)
    return p_value


def white_p_value_in_graph(alignment: tf.Tensor, dimension: tf.Tensor, rank: tf.Tensor) -> tf.Tensor:
    """`white_p_value` in TensorFlow, float64: I_{1-S}((d-k)/2, k/2), the regularised incomplete beta."""
    alignment, dimension, rank = (tf.cast(tensor, tf.float64) for tensor in (alignment, dimension, rank))
    defined = ~tf.math.is_nan(alignment)
    # All of one shape: the incomplete beta function does not broadcast.
    zero = tf.zeros_like(alignment + dimension + rank)
    below, k, d = tf.where(defined, 1 - alignment, 0) + zero, rank + zero, dimension + zero
    proper = (k > 0) & (k < d)
    k, d = tf.where(proper, k, tf.ones_like(k)), tf.where(proper, d, 2 * tf.ones_like(d))
    p_value = tf.where(proper, tf.math.betainc((d - k) / 2, k / 2, below), tf.ones_like(below))
    return tf.where(defined, p_value, tf.constant(float("nan"), tf.float64))


def white_noise_products(
    fields: tf.Tensor,
    mask: tf.Tensor | None,
    *,
    draws: int,
    seed: int = 0,
    window: tuple[Edges, tf.Tensor] | None = None,
) -> tf.Tensor:
    """⟨field, v⟩/‖v‖ for `draws` white noise fields v, one of which is in memory at a time.

    Args:
        fields: (B, k, *spatial, C), already restricted to the support.
        mask: the support, (B, *spatial, 1), or None for the whole canvas.
        draws: number of fields v; draw i uses seed + i, as `LinearNoise(seed=seed + i)` does.
        window: ((H, W), origin (B, 2)) if fields and mask are windows of a canvas: the v are then those of
            the canvas.

    Returns:
        (B, k, draws); 0 where the mask is empty.
    """
    shape, dtype = tf.shape(fields), fields.dtype

    def draw(i: tf.Tensor, out: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        if window is None:
            noise = white_field(shape[2:], seed + i, dtype)
            noise = tf.broadcast_to(noise, tf.concat([shape[:1], shape[2:]], axis=0))
        else:
            canvas, origin = window
            noise = crop_one(white_field([*canvas, shape[4]], seed + i, dtype), origin, (shape[2], shape[3]))
        noise = on_support(noise, mask)[:, tf.newaxis]
        products = inner_products(fields, noise)
        norm = tf.sqrt(inner_products(noise, noise))
        return i + 1, out.write(i, tf.math.divide_no_nan(products, norm)[:, :, 0])

    summed = tf.float64 if dtype == tf.float64 else tf.float32
    out = tf.TensorArray(summed, size=draws, element_shape=[None, fields.shape[1]])
    _, out = tf.while_loop(lambda i, _: i < draws, draw, (tf.constant(0), out), parallel_iterations=1)
    return tf.transpose(out.stack(), [1, 2, 0])


def white_noise_alignment(
    section_gradients: tf.Tensor,
    mask: tf.Tensor | None,
    *,
    draws: int,
    seed: int = 0,
    window: tuple[Edges, tf.Tensor] | None = None,
) -> tf.Tensor:
    """S of linear noise features ⟨v, x⟩, (B, draws); arguments as for `white_noise_products`."""
    cross = white_noise_products(section_gradients, mask, draws=draws, seed=seed, window=window)
    section = inner_products(section_gradients, section_gradients)
    unit = tf.eye(tf.shape(cross)[2], batch_shape=[1], dtype=cross.dtype)
    return pointwise_alignment(Products(section, cross, unit))


def fixed_field_alignment(directions: tf.Tensor, gram: tf.Tensor, fields: tf.Tensor) -> tf.Tensor:
    """S or F of fields that do not depend on the image: of each field alone, and the joint share.

    With A = Σ_k u_k u_kᵀ, the share of one field v is vᵀAv/‖v‖², and the joint share of m fields is
    tr(PA)/tr A, with P the projector on their span. An orthonormal basis u_k of the section gives S; the u_k
    of `PathDirections` give F.

    Args:
        directions: (k, d), u_k at d pixels.
        gram: (k, k), ⟨u_k, u_l⟩ over the whole support, which may have more pixels than d.
        fields: (n, m, d), at these d pixels; zero elsewhere.

    Returns:
        (n, m + 1) float64 in [0, 1]; the last column is the joint share. 0 for fields that vanish.
    """
    directions, gram, fields = (tf.cast(tensor, tf.float64) for tensor in (directions, gram, fields))
    products = tf.matmul(fields, fields, transpose_b=True)
    norm = tf.sqrt(tf.linalg.diag_part(products))
    count, edge = fields.shape[1], directions.shape[0]
    # A single product of two matrices: a stack of small products takes ten times as long.
    flat = tf.reshape(fields, [-1, fields.shape[2]])
    cross = tf.reshape(tf.matmul(flat, directions, transpose_b=True), [-1, count, edge])
    cross = tf.math.divide_no_nan(cross, norm[:, :, tf.newaxis])
    inverse, _ = pseudo_inverse(tf.math.divide_no_nan(products, norm[:, :, tf.newaxis] * norm[:, tf.newaxis]))
    pairs = tf.matmul(cross, cross, transpose_b=True)
    joint = tf.math.divide_no_nan(tf.reduce_sum(pairs * inverse, axis=[1, 2]), tf.linalg.trace(gram))
    shares = tf.concat([tf.linalg.diag_part(pairs), joint[:, tf.newaxis]], axis=1)
    return tf.clip_by_value(shares, 0, 1)
