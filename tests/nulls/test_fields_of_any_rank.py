"""Random fields of sequences and volumes have the laws of those of images, whose bits have not changed."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import fft, ndimage, signal, stats

from fgf_keras.errors import ConfigError
from fgf_keras.nulls.fields import hermitian_phases, matched_fields, moved_fields, smooth_fields
from fgf_keras.nulls.white import white_noise_products

SEED = np.array([3, -4], np.int32)


def smooth_images(count, shape, sigma, seed):
    """`smooth_fields` as it was for images alone."""
    rows, columns, channels = shape
    margin = int(np.ceil(4 * sigma))

    def gaussian(edge):
        distance = np.arange(edge + 2 * margin) - margin - np.arange(edge)[:, np.newaxis]
        weights = np.exp(-0.5 * (distance / sigma) ** 2) * (np.abs(distance) <= margin)
        return tf.constant(weights, tf.float32)

    edges = [count * channels, rows + 2 * margin, columns + 2 * margin]
    noise = tf.random.stateless_normal(edges, seed, alg="philox")
    smooth = tf.tensordot(noise, gaussian(columns), [[2], [1]])
    smooth = tf.tensordot(smooth, gaussian(rows), [[1], [1]])
    smooth = tf.reshape(smooth, [count, channels, columns, rows])
    return tf.transpose(smooth, [0, 3, 2, 1]).numpy()


def phases_of_images(shape, seed):
    """`hermitian_phases` as it was for images alone."""
    *stack, rows, columns = shape
    half = [*stack, rows, columns // 2 + 1]
    angle = tf.random.stateless_uniform(half, seed, 0, 2 * np.pi, alg="philox").numpy()
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


def matched_images(count, fields, seed):
    """`matched_fields` as it was for images alone."""
    fields = np.moveaxis(np.asarray(fields, np.float32), -1, 1)
    edges = fields.shape[-2:]
    padded = [fft.next_fast_len(2 * edge, real=True) for edge in edges]
    amplitude = np.abs(fft.rfft2(fields, padded))
    phase = phases_of_images([count, len(fields), 1, *padded], seed)
    draws = fft.irfft2(amplitude * phase, padded, overwrite_x=True)[..., : edges[0], : edges[1]]
    return np.moveaxis(draws, 2, -1).astype(np.float32)


def moved_images(fields, mask, onto):
    """`moved_fields` as it was for images alone."""
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    rows, columns = (
        np.clip(((place + 0.5) * here / there).astype(int), 0, here - 1)
        for place, here, there in zip(np.nonzero(onto), mask.shape, onto.shape)
    )
    return fields[:, nearest[0, rows, columns], nearest[1, rows, columns]]


@pytest.mark.parametrize("edges", [(9, 7), (8, 6), (1, 5)])
def test_fields_of_images_are_the_same_to_the_bit(rng, edges):
    shape = (*edges, 2)
    assert np.array_equal(smooth_fields(5, shape, 1.7, SEED), smooth_images(5, shape, 1.7, SEED))
    assert np.array_equal(hermitian_phases([3, *edges], SEED), phases_of_images([3, *edges], SEED))
    fields = rng.normal(size=(2, *shape)).astype(np.float32)
    assert np.array_equal(matched_fields(5, fields, SEED), matched_images(5, fields, SEED))
    mask, onto = rng.random(edges) > 0.4, rng.random((8, 4)) > 0.3
    assert np.array_equal(moved_fields(fields, mask, onto), moved_images(fields, mask, onto))


@pytest.mark.parametrize("edges", [(40,), (5, 6, 7), (1, 8, 9)])
def test_smooth_fields_correlate_as_gaussians_do_and_are_stationary_up_to_the_edges(edges):
    sigma, count = 1.6, 8000
    fields = smooth_fields(count, (*edges, 1), sigma, SEED).numpy()[..., 0]
    variance = np.var(fields, axis=0)
    assert np.allclose(variance / variance.mean(), 1, atol=6 * np.sqrt(2 / count))
    flat = fields.reshape(count, -1)
    places = np.stack(np.unravel_index(np.arange(flat.shape[1]), edges), axis=1)
    squares = ((places[:, np.newaxis] - places) ** 2).sum(axis=-1)
    correlation = np.corrcoef(flat, rowvar=False)
    assert np.allclose(correlation, np.exp(-squares / (4 * sigma**2)), atol=6 / np.sqrt(count))


@pytest.mark.parametrize("edges", [(12,), (13,), (3, 5, 4), (1, 6, 5)])
def test_matched_fields_have_the_covariance_and_the_power_of_the_field(rng, edges):
    field = rng.normal(size=(1, *edges, 1)).astype(np.float32)
    field[0, ..., edges[-1] // 2 :, 0] += 1
    drawn = matched_fields(20000, field, SEED).numpy()[:, 0, ..., 0].astype(np.float64)
    assert np.allclose(drawn.mean(axis=0), 0, atol=0.05)
    padded = [fft.next_fast_len(2 * edge, real=True) for edge in edges]
    # E[v(x) v(x + d)] is the autocorrelation of the field over the number of padded pixels.
    covariance = signal.correlate(field[0, ..., 0], field[0, ..., 0]) / np.prod(padded)
    flat = drawn.reshape(len(drawn), -1)
    places = np.stack(np.unravel_index(np.arange(flat.shape[1]), edges), axis=1)
    distance = places[:, np.newaxis] - places + np.array(edges) - 1
    expected = covariance[tuple(np.moveaxis(distance, -1, 0))]
    measured = flat.T @ flat / len(flat)
    assert np.allclose(measured, expected, rtol=0, atol=0.05 * expected.max())
    # The mean power of the draws inside the box: each distance counts as often as it fits into the box.
    overlap = signal.correlate(np.ones(edges), np.ones(edges))
    double = [2 * edge - 1 for edge in edges]
    power = np.mean(np.abs(fft.fftn(drawn, double, axes=range(1, drawn.ndim))) ** 2, axis=0)
    assert np.allclose(power, fft.fftn(fft.ifftshift(covariance * overlap)).real, rtol=0.06, atol=0.02)


@pytest.mark.parametrize("edges", [(7,), (8,), (3, 4, 5), (4, 4, 6), (1, 6, 5)])
def test_phases_are_those_of_real_fields_of_unit_power(edges):
    axes = range(-len(edges), 0)
    phase = hermitian_phases([50, *edges], SEED, axes=len(edges))
    again = np.fft.rfftn(np.fft.irfftn(phase, edges, axes), edges, axes)
    assert np.allclose(again, phase, atol=1e-5)
    assert np.all(np.abs(phase.mean(axis=0)) < 0.6)


def test_a_volume_of_one_slice_has_the_matched_fields_of_the_image(rng):
    image = rng.normal(size=(1, 6, 5, 1)).astype(np.float32)
    image[:, :, 2:] += 1
    of_image = matched_fields(8000, image, SEED).numpy().reshape(8000, -1)
    of_volume = matched_fields(8000, image[:, np.newaxis], SEED).numpy().reshape(8000, -1)
    covariances = [np.cov(fields, rowvar=False) for fields in (of_image, of_volume)]
    scale = np.trace(covariances[1]) / np.trace(covariances[0])
    assert np.allclose(scale * covariances[0], covariances[1], atol=0.06 * covariances[1].max())


@pytest.mark.parametrize("edges", [(6,), (3, 4, 5)])
def test_fields_move_along_every_axis(rng, edges):
    mask = rng.random(edges) > 0.3
    fields = rng.normal(size=(2, *edges, 3))
    assert np.array_equal(moved_fields(fields, mask, mask), fields[:, mask])
    # On a box twice as large, each pixel of a full mask is there twice along every axis.
    full, twice = np.ones(edges, bool), np.ones([2 * edge for edge in edges], bool)
    expected = fields
    for axis in range(len(edges)):
        expected = np.repeat(expected, 2, axis=axis + 1)
    assert np.array_equal(moved_fields(fields, full, twice), expected.reshape(2, -1, 3))


def test_a_pixel_outside_a_volume_of_the_first_tumour_takes_the_value_of_the_nearest_inside():
    fields = np.arange(4.0).reshape(1, 1, 1, 4, 1)
    moved = moved_fields(fields, np.array([[[True, True, False, False]]]), np.ones((1, 1, 4), bool))
    assert moved[0, :, 0].tolist() == [0, 1, 1, 1]


def test_columns_of_tables_have_no_neighbours(rng):
    fields = rng.normal(size=(2, 5))
    assert np.array_equal(moved_fields(fields, np.array(True), np.array(True)), fields[:, np.newaxis])
    words = "columns of a table.*'white' and 'permutation'"
    with pytest.raises(ConfigError, match=f"'smooth'.*{words}"):
        smooth_fields(3, (5,), 2.0, SEED)
    with pytest.raises(ConfigError, match=f"'matched'.*{words}"):
        matched_fields(3, fields, SEED)


@pytest.mark.parametrize("shape", [(5,), (9, 2), (3, 4, 5, 2)])
def test_white_noise_of_any_rank_is_normal(rng, shape):
    field = rng.normal(size=shape)
    unit = tf.constant(field[np.newaxis, np.newaxis] / np.linalg.norm(field))
    # Draw after draw, which is slow without a graph.
    products = tf.function(white_noise_products, autograph=False)(unit, None, draws=3000)[0, 0].numpy()
    law = stats.beta(0.5, (field.size - 1) / 2)
    assert stats.kstest(products**2, law.cdf).pvalue > 1e-3
