"""Random fields that a feature gradient can be compared with, drawn in a rectangle around one tumour.

They depend on a seed of two integers and on the rectangle, but not on its position on the canvas, nor on
anything else on the canvas or in the batch.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from scipy import fft, ndimage

# The Gaussian is cut off at this many standard deviations.
TRUNCATE = 4


def smooth_fields(count: int, shape: Sequence[int], sigma: float, seed: np.ndarray) -> tf.Tensor:
    """White noise smoothed by a Gaussian, stationary up to the edges of the rectangle.

    Args:
        count: number of fields.
        shape: (rows, columns, channels); channels are independent.
        sigma: standard deviation of the Gaussian, px. The correlation of the field falls to exp(-¼) at a
            distance of sigma.
        seed: (2,) int32.

    Returns:
        (count, rows, columns, channels) float32, of equal variance everywhere.
    """
    rows, columns, channels = shape
    margin = int(np.ceil(TRUNCATE * sigma))
    # Channels share an axis with the draws, so that smoothing takes two matrix products.
    noise = _normal([count * channels, rows + 2 * margin, columns + 2 * margin], seed)
    smooth = tf.tensordot(noise, _gaussian(columns, margin, sigma), [[2], [1]])
    smooth = tf.tensordot(smooth, _gaussian(rows, margin, sigma), [[1], [1]])
    smooth = tf.reshape(smooth, [count, channels, columns, rows])
    return tf.transpose(smooth, [0, 3, 2, 1])


def matched_fields(count: int, fields: np.ndarray, seed: np.ndarray) -> tf.Tensor:
    """Fields with the power spectra of given fields and random phases.

    The given fields are padded with zeros to twice their edges before the Fourier transform, which is
    periodic, so that opposite edges of the rectangle do not touch. The mean power over phases is that of the
    padded field; the covariance at a distance is the sum of the products of the given field's pixels at that
    distance.

    Args:
        count: number of draws.
        fields: (m, rows, columns, C), zero outside the mask. Phases are independent among the m fields and
            the same in all channels.
        seed: (2,) int32.

    Returns:
        (count, m, rows, columns, C) float32; the caller restricts them to the mask.
    """
    fields = np.moveaxis(np.asarray(fields, np.float32), -1, 1)
    edges = fields.shape[-2:]
    padded = [fft.next_fast_len(2 * edge, real=True) for edge in edges]
    amplitude = np.abs(fft.rfft2(fields, padded))
    phase = hermitian_phases([count, len(fields), 1, *padded], seed)
    draws = fft.irfft2(amplitude * phase, padded, overwrite_x=True)[..., : edges[0], : edges[1]]
    return tf.constant(np.moveaxis(draws, 2, -1), tf.float32)


def moved_fields(fields: np.ndarray, mask: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Fields of one tumour in the frame of another: each axis of its box scaled to that of the other box.

    A pixel takes the value of the nearest pixel of the first tumour, so pixels that the first tumour does not
    cover get the values at its border instead of zero.

    Args:
        fields: (m, rows, columns, C), in the smallest rectangle around the first tumour.
        mask: (rows, columns), of the first tumour.
        onto: (rows', columns'), of the second, in its smallest rectangle.

    Returns:
        (m, d', C) array at the pixels of the second mask, in row-major order.
    """
    nearest = ndimage.distance_transform_edt(~mask.astype(bool), return_distances=False, return_indices=True)
    places = np.nonzero(onto)
    # Centres of pixels, scaled about the centre of the rectangle.
    rows, columns = (
        np.clip(((place + 0.5) * here / there).astype(int), 0, here - 1)
        for place, here, there in zip(places, mask.shape, onto.shape)
    )
    return fields[:, nearest[0, rows, columns], nearest[1, rows, columns]]


def white_coordinates(
    count: int, number: int, gram: np.ndarray, dimension: int, seed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """White noise in `dimension` pixels, in as few coordinates as its products with a few fields u_k need.

    The coordinates along the k fields are normal, and the inner products of the components orthogonal to them
    form a Wishart matrix: a triangular factor of it (Bartlett) stands for all other pixels. Nothing is
    approximated.

    Args:
        count: number of draws.
        number: m, independent white fields per draw.
        gram: (k, k), ⟨u_k, u_l⟩.
        dimension: number of pixels (times channels) of the support, at least the rank of `gram`.
        seed: (2,) int32.

    Returns:
        directions (k, k + m) and fields (count, m, k + m), whose products have the joint distribution of
        those of the real fields; directions of NaN where `gram` is not finite.
    """
    gram = np.asarray(gram, np.float64)
    if not np.isfinite(gram).all():
        columns = len(gram) + number
        return np.full((len(gram), columns), np.nan), np.ones((count, number, columns))
    values, vectors = np.linalg.eigh(gram)
    keep = values > 1e-6 * max(values[-1], 0)
    directions = np.zeros((len(gram), len(gram) + number))
    directions[:, : keep.sum()] = vectors[:, keep] * np.sqrt(values[keep])
    rng = np.random.default_rng(np.asarray(seed, np.int32).view(np.uint32).tolist())
    rank = min(int(keep.sum()), dimension)
    fields = np.zeros((count, number, len(gram) + number))
    fields[..., :rank] = rng.standard_normal((count, number, rank))
    rest = np.tril(rng.standard_normal((count, number, number)), -1)
    for i in range(min(number, dimension - rank)):
        rest[:, i, i] = np.sqrt(rng.chisquare(dimension - rank - i, count))
    # With fewer pixels left than fields, the factor has only as many columns as there are pixels.
    rest[:, :, max(dimension - rank, 0) :] = 0
    fields[..., len(gram) :] = rest
    return directions, fields


def hermitian_phases(shape: Sequence[int], seed: np.ndarray) -> np.ndarray:
    """Random phase factors (…, rows, columns // 2 + 1) for transforms of real fields (…, rows, columns)."""
    *stack, rows, columns = shape
    half = [*stack, rows, columns // 2 + 1]
    angle = tf.random.stateless_uniform(half, seed, 0, 2 * np.pi, alg="philox").numpy()
    # These columns also hold the conjugate of each factor, and some factors are their own conjugates.
    opposite = -np.arange(rows) % rows
    self_conjugate = opposite == np.arange(rows)
    for column in {0, columns // 2} if columns % 2 == 0 else {0}:
        free = angle[..., column]
        bound = free - free[..., opposite]
        angle[..., column] = np.where(self_conjugate, np.where(free < np.pi, 0, np.pi), bound)
    phase = np.empty(half, np.complex64)
    np.cos(angle, out=phase.real)
    np.sin(angle, out=phase.imag)
    return phase


def _normal(shape: Sequence[int], seed: np.ndarray) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed, alg="philox")


def _gaussian(edge: int, margin: int, sigma: float) -> tf.Tensor:
    """(edge, edge + 2·margin), one row per pixel: Gaussian weights of the noise around it."""
    distance = np.arange(edge + 2 * margin) - margin - np.arange(edge)[:, np.newaxis]
    weights = np.exp(-0.5 * (distance / sigma) ** 2) * (np.abs(distance) <= margin)
    return tf.constant(weights, tf.float32)
