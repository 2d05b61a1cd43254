"""Random fields have the correlation that they are asked for, wherever the tumour lies."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from fgf_keras.geometry.alignment import alignment_products, joint_alignment, pointwise_alignment
from fgf_keras.nulls.fields import (
    hermitian_phases,
    matched_fields,
    moved_fields,
    smooth_fields,
    white_coordinates,
)
from fgf_keras.nulls.white import fixed_field_alignment, white_null

SEED = np.array([3, -4], np.int32)
ALPHA = 1e-3


def cosine_squared(section, fields):
    return np.asarray(fixed_field_alignment(section, np.atleast_2d(section @ section.T), fields))


@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_smooth_fields_are_stationary_up_to_the_edge_and_correlate_over_sigma(sigma):
    fields = smooth_fields(4000, (6, 11, 1), sigma, SEED)[..., 0].numpy()
    variance = fields.var(axis=0)
    assert np.allclose(variance / variance.mean(), 1, atol=0.15)
    for along in (fields, np.swapaxes(fields, 1, 2)):
        for distance in (1, 4):
            measured = np.mean(along[:, 0] * along[:, distance]) / variance.mean()
            assert measured == pytest.approx(np.exp(-((distance / sigma) ** 2) / 4), abs=0.05)


def test_channels_of_smooth_fields_are_independent():
    fields = smooth_fields(3000, (2, 3, 2), 2.0, SEED).numpy()
    assert fields.shape == (3000, 2, 3, 2)
    assert np.corrcoef(fields[:, 1, 1, 0], fields[:, 1, 1, 1])[0, 1] == pytest.approx(0, abs=0.07)


def test_matched_fields_have_the_covariance_of_the_field_and_are_not_the_field(rng):
    field = rng.normal(size=(1, 7, 5, 1)).astype(np.float32)
    field[0, :, 2:] += 1.5
    drawn = matched_fields(6000, field, SEED)[:, 0, ..., 0].numpy()
    f = field[0, ..., 0]
    assert np.allclose(drawn.mean(axis=0), 0, atol=0.1)
    for down, right in ((0, 0), (0, 1), (2, 0), (3, 2), (6, 4)):
        expected = np.sum(f[: 7 - down, : 5 - right] * f[down:, right:]) / np.sum(f**2)
        # From one corner: with too little padding it would touch the opposite edge.
        measured = np.mean(drawn[:, 0, 0] * drawn[:, down, right]) / np.mean(drawn**2)
        assert measured == pytest.approx(expected, abs=0.06), (down, right)


@pytest.mark.parametrize("shape", [(4, 6), (5, 4), (4, 5), (3, 3)])
def test_random_phases_are_those_of_real_fields_of_unit_power(shape):
    phase = hermitian_phases([50, *shape], SEED)
    again = np.fft.rfft2(np.fft.irfft2(phase, shape))
    assert np.allclose(again, phase, atol=1e-5)
    assert np.allclose(np.abs(phase), 1, atol=1e-5)
    assert np.all(np.abs(phase.mean(axis=0)) < 0.6)


def test_matched_fields_draw_phases_for_each_feature_and_share_them_among_channels(rng):
    one = rng.normal(size=(1, 4, 4, 1)).astype(np.float32)
    fields = np.concatenate([np.repeat(one, 2, axis=-1)] * 2)
    drawn = matched_fields(2000, fields, SEED).numpy()
    assert np.array_equal(drawn[..., 0], drawn[..., 1])
    assert np.corrcoef(drawn[:, 0, 1, 1, 0], drawn[:, 1, 1, 1, 0])[0, 1] == pytest.approx(0, abs=0.08)


def test_a_gradient_that_vanishes_is_matched_by_one_that_does():
    assert not matched_fields(3, np.zeros((1, 4, 4, 1)), SEED).numpy().any()


def test_a_field_moved_onto_its_own_tumour_stays_as_it_is(rng):
    mask = np.array([[0, 1, 1], [1, 1, 0], [0, 1, 0]])
    fields = rng.normal(size=(2, 3, 3, 1))
    assert np.array_equal(moved_fields(fields, mask, mask), fields[:, mask > 0])


def test_a_moved_field_is_scaled_and_continued_where_the_tumour_was_not():
    fields = np.array([[1.0, 2.0], [3.0, 99.0]])[np.newaxis, ..., np.newaxis]
    moved = moved_fields(fields, np.array([[1, 1], [1, 0]]), np.ones((4, 2)))[0, :, 0].reshape(4, 2)
    assert moved[:2].tolist() == [[1, 2], [1, 2]]
    assert moved[2:, 0].tolist() == [3, 3]
    # The pixel that is not in the mask has neighbours 2 and 3, as near as each other.
    assert set(moved[2:, 1]) <= {2.0, 3.0}


@pytest.mark.parametrize("number", [1, 3])
def test_white_coordinates_follow_the_law_of_all_pixels(number):
    gram = np.eye(1)
    directions, fields = white_coordinates(600, number, gram, 40, SEED)
    shares = fixed_field_alignment(directions, gram, fields).numpy()
    assert stats.kstest(shares[:, 0], white_null(40).cdf).pvalue > ALPHA
    assert stats.kstest(shares[:, -1], white_null(40, rank=number).cdf).pvalue > ALPHA


def test_white_coordinates_are_right_where_pixels_are_fewer_than_fields(rng):
    u = rng.normal(size=(2, 4))
    pixels = rng.normal(size=(3000, 3, 4))
    direct = fixed_field_alignment(u, u @ u.T, pixels).numpy()
    drawn = fixed_field_alignment(*_with_gram(u), white_coordinates(3000, 3, u @ u.T, 4, SEED)[1]).numpy()
    for i in (0, 3):
        assert stats.ks_2samp(direct[:, i], drawn[:, i]).pvalue > ALPHA


def _with_gram(u):
    return white_coordinates(1, 3, u @ u.T, 4, SEED)[0], u @ u.T


def test_fixed_fields_have_the_shares_that_alignment_defines(rng):
    gradient, fields = rng.normal(size=(1, 1, 5, 6, 1)), rng.normal(size=(4, 3, 5, 6, 1))
    fields[0, 2] = fields[0, 1] * -2
    fields[1, 0] = 0
    products = alignment_products(tf.constant(np.repeat(gradient, 4, axis=0)), tf.constant(fields))
    u = gradient.reshape(1, -1) / np.linalg.norm(gradient)
    shares = cosine_squared(u, fields.reshape(4, 3, -1))
    assert np.allclose(shares[:, :-1], pointwise_alignment(products), atol=1e-12)
    assert np.allclose(shares[:, -1], joint_alignment(products), atol=1e-9)


def test_white_noise_beside_a_gradient_that_is_not_finite_has_no_share():
    gram = np.full((1, 1), np.nan)
    directions, fields = white_coordinates(5, 2, gram, 30, SEED)
    assert np.isnan(directions).all()
    assert np.isnan(fixed_field_alignment(directions, gram, fields)).all()
