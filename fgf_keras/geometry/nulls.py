"""What alignment is worth by chance: exact laws for white noise, and draws of it."""

import numpy as np
import tensorflow as tf
from scipy import stats

from fgf_keras.geometry.alignment import Products, pointwise_alignment
from fgf_keras.geometry.products import inner_products, on_support
from fgf_keras.geometry.windows import crop_one


def white_null(dimension: int, rank: int = 1):
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


def white_p_value(alignment, dimension, rank=1):
    """P(S ≥ alignment) under `white_null`, elementwise; 1 where rank ≥ dimension, NaN where S is NaN."""
    alignment, dimension, rank = np.broadcast_arrays(
        np.asarray(alignment, np.float64), np.asarray(dimension, np.float64), np.asarray(rank, np.float64)
    )
    p_value = np.where(np.isnan(alignment), np.nan, 1.0)
    proper = (rank > 0) & (rank < dimension) & ~np.isnan(alignment)
    d, k = dimension[proper], rank[proper]
    p_value[proper] = stats.beta.sf(alignment[proper], k / 2, (d - k) / 2)
    return p_value


def white_field(shape, seed, dtype=tf.float32):
    """A fixed standard normal field of the given shape: the same for the same seed, on every machine."""
    # The second word keeps these fields apart from other users of small seeds.
    # A named algorithm: the default differs between compiled and uncompiled graphs.
    return tf.cast(tf.random.stateless_normal(shape, tf.stack([seed, 0x5EED]), alg="philox"), dtype)


def white_noise_alignment(section_gradients, mask, *, draws: int, seed: int = 0, window=None):
    """S of `draws` linear noise features ⟨v, x⟩, one field v held in memory at a time.

    Args:
        section_gradients: (B, R, H, W, C), already restricted to the support.
        mask: the support, (B, H, W, 1), or None for the whole canvas.
        draws: number of fields; draw i uses seed + i, as `LinearNoise(seed=seed + i)` does.
        window: ((H, W), origin (B, 2)) where gradients and mask are windows of a canvas: the fields are those
            of the canvas.

    Returns:
        (B, draws).
    """
    shape = tf.shape(section_gradients)
    dtype = section_gradients.dtype
    section = inner_products(section_gradients, section_gradients)

    def draw(i, out):
        if window is None:
            field = tf.broadcast_to(white_field(shape[2:], seed + i, dtype), tf.gather(shape, [0, 2, 3, 4]))
        else:
            canvas, origin = window
            field = crop_one(white_field([*canvas, shape[4]], seed + i, dtype), origin, (shape[2], shape[3]))
        field = on_support(field, mask)[:, tf.newaxis]
        products = Products(section, inner_products(section_gradients, field), inner_products(field, field))
        return i + 1, out.write(i, pointwise_alignment(products)[:, 0])

    out = tf.TensorArray(section.dtype, size=draws, element_shape=[None])
    _, out = tf.while_loop(lambda i, _: i < draws, draw, (tf.constant(0), out), parallel_iterations=1)
    return tf.transpose(out.stack())
