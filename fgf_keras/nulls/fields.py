"""Random fields that a feature gradient can be compared with, drawn in a box around one tumour.

The box has one to three spatial axes: an interval of a sequence, a rectangle of an image, a cuboid of a
volume. Fields depend on a seed of two integers and on the box, but not on its position on the canvas, nor on
anything else on the canvas or in the batch. The columns of a table have no neighbours: there, only white
noise and the gradients of other samples make sense.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from scipy import fft, ndimage

from fgf_keras.errors import ConfigError

# The Gaussian is cut off at this many standard deviations.
TRUNCATE = 4


def smooth_fields(count: int, shape: Sequence[int], sigma: float, seed: np.ndarray) -> tf.Tensor:
    """White noise smoothed by a Gaussian, stationary up to the edges of the box.

    Args:
        count: number of fields.
        shape: (*edges, channels), e.g. (rows, columns, channels); channels are independent.
        sigma: standard deviation of the Gaussian along every axis, px. The correlation of the field at a
            distance d is exp(-d²/(4σ²)).
        seed: (2,) int32.

    Returns:
        (count, *edges, channels) float32, of equal variance everywhere.

    Raises:
        ConfigError: there are no spatial axes.
    """
    *edges, channels = shape
    _refuse_tables("smooth", edges)
    margin = int(np.ceil(TRUNCATE * sigma))
    # Channels share an axis with the draws, so that smoothing takes one matrix product per spatial axis.
    smooth = _normal([count * channels, *(edge + 2 * margin for edge in edges)], seed)
    for axis, edge in reversed([*enumerate(edges, start=1)]):
        # The new axis comes last, so the axes that are left keep their places.
        smooth = tf.tensordot(smooth, _gaussian(edge, margin, sigma), [[axis], [1]])
    smooth = tf.reshape(smooth, [count, channels, *reversed(edges)])
    return tf.transpose(smooth, [0, *range(len(edges) + 1, 0, -1)])


def matched_fields(count: int, fields: np.ndarray, seed: np.ndarray) -> tf.Tensor:
    """Fields with the power spectra of given fields and random phases.

    The given fields are padded with zeros to twice their edges before the Fourier transform, which is
    periodic, so that opposite edges of the box do not touch. The mean power over phases is that of the
    padded field; the covariance at a distance is the sum of the products of the given field's pixels at that
    distance.

    Args:
        count: number of draws.
        fields: (m, *edges, C), zero outside the mask. Phases are independent among the m fields and the same
            in all channels.
        seed: (2,) int32.

    Returns:
        (count, m, *edges, C) float32; the caller restricts them to the mask.

    Raises:
        ConfigError: there are no spatial axes.
    """
    fields = np.moveaxis(np.asarray(fields, np.float32), -1, 1)
    edges = fields.shape[2:]
    _refuse_tables("matched", edges)
    padded = [fft.next_fast_len(2 * edge, real=True) for edge in edges]
    axes = range(-len(edges), 0)
    amplitude = np.abs(fft.rfftn(fields, padded, axes))
    phase = hermitian_phases([count, len(fields), 1, *padded], seed, axes=len(edges))
    draws = fft.irfftn(amplitude * phase, padded, axes, overwrite_x=True)
    draws = draws[..., *(slice(edge) for edge in edges)]
    return tf.constant(np.moveaxis(draws, 2, -1), tf.float32)


def moved_fields(fields: np.ndarray, mask: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Fields of one tumour in the frame of another: each axis of its box scaled to that of the other box.

    A pixel takes the value of the nearest pixel of the first tumour, so pixels that the first tumour does not
    cover get the values at its border instead of zero.

    Args:
        fields: (m, *edges, C), in the smallest box around the first tumour; (m, P) of a table, which stay as
            they are.
        mask: (*edges,), of the first tumour.
        onto: (*edges',), of the second, in its smallest box.

    Returns:
        (m, d', C) array at the pixels of the second mask, in row-major order.
    """
    if not mask.ndim:
        return fields[:, np.newaxis]
    nearest = ndimage.distance_transform_edt(~mask.astype(bool), return_distances=False, return_indices=True)
    # Centres of pixels, scaled about the centre of the box.
    places = tuple(
        np.clip(((place + 0.5) * here / there).astype(int), 0, here - 1)
        for place, here, there in zip(np.nonzero(onto), mask.shape, onto.shape)
    )
    return fields[:, *(axis[places] for axis in nearest)]


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


def hermitian_phases(shape: Sequence[int], seed: np.ndarray, *, axes: int = 2) -> np.ndarray:
    """Random phase factors of the Fourier transforms of real fields.

    Args:
        shape: (…, *edges) of the fields.
        seed: (2,) int32.
        axes: number of edges: the last axes, those that are transformed.

    Returns:
        (…, *edges[:-1], edges[-1] // 2 + 1), half of the transform, as of `scipy.fft.rfftn`.
    """
    *others, last = shape[-axes:]
    half = [*shape[:-1], last // 2 + 1]
    angle = tf.random.stateless_uniform(half, seed, 0, 2 * np.pi, alg="philox").numpy()
    # These columns also hold the conjugate of each factor, and some factors are their own conjugates.
    opposite = np.ix_(*(-np.arange(edge) % edge for edge in others))
    places = np.indices(others, sparse=True)
    self_conjugate = np.all(
        np.broadcast_arrays(True, *(there == here for there, here in zip(opposite, places))), axis=0
    )
    for column in {0, last // 2} if last % 2 == 0 else {0}:
        free = angle[..., column]
        bound = free - free[..., *opposite]
        angle[..., column] = np.where(self_conjugate, np.where(free < np.pi, 0, np.pi), bound)
    phase = np.empty(half, np.complex64)
    np.cos(angle, out=phase.real)
    np.sin(angle, out=phase.imag)
    return phase


def _refuse_tables(kind: str, edges: Sequence[int]) -> None:
    if not edges:
        raise ConfigError(
            f"The null {kind!r} needs neighbours, and the columns of a table have none: their order is "
            "arbitrary. Use the nulls 'white' and 'permutation' for tables."
        )


def _normal(shape: Sequence[int], seed: np.ndarray) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed, alg="philox")


def _gaussian(edge: int, margin: int, sigma: float) -> tf.Tensor:
    """(edge, edge + 2·margin), one row per pixel: Gaussian weights of the noise around it."""
    distance = np.arange(edge + 2 * margin) - margin - np.arange(edge)[:, np.newaxis]
    weights = np.exp(-0.5 * (distance / sigma) ** 2) * (np.abs(distance) <= margin)
    return tf.constant(weights, tf.float32)
