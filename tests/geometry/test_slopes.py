"""Slopes are the coefficients of a least-squares fit of the score's gradient, by numpy in float64."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.geometry.alignment import alignment_products, joint_alignment
from fgf_keras.geometry.sections import contrasts, decision_pair
from fgf_keras.geometry.slopes import decision_products, share_split, slopes, slopes_alone

SHAPE = (5, 6, 2)


def fields(rng, count, batch=4):
    return rng.normal(size=(batch, count, *SHAPE))


def of_score(gradient, features):
    return alignment_products(tf.constant(gradient), tf.constant(features))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_slopes_are_those_of_least_squares(rng, count):
    gradient, features = fields(rng, 1), fields(rng, count)
    products = of_score(gradient, features)
    for b in range(4):
        g, z = features[b].reshape(count, -1), gradient[b].ravel()
        expected, *_ = np.linalg.lstsq(g.T, z, rcond=None)
        np.testing.assert_allclose(slopes(products)[b], expected, rtol=1e-10)
        np.testing.assert_allclose(slopes_alone(products)[b], g @ z / (g**2).sum(axis=1), rtol=1e-12)


def test_the_split_of_the_share_adds_up_to_it(rng):
    gradient, features = fields(rng, 1), fields(rng, 4)
    products = of_score(gradient, features)
    cross = np.einsum("bmhwc,bhwc->bm", features, gradient[:, 0])
    expected = slopes(products).numpy() * cross / (gradient**2).sum(axis=(1, 2, 3, 4))[:, None]
    np.testing.assert_allclose(share_split(products), expected, rtol=1e-10)
    np.testing.assert_allclose(expected.sum(axis=1), joint_alignment(products), rtol=1e-10)


def test_a_feature_in_other_units_has_a_slope_per_its_unit_and_the_same_part(rng):
    gradient, features = fields(rng, 1), fields(rng, 3)
    scale = np.array([350.0, 1e-3, -1.0])
    one, other = (of_score(gradient, f) for f in (features, features * scale[:, None, None, None]))
    for function in (slopes, slopes_alone):
        np.testing.assert_allclose(function(other) * scale, function(one), rtol=1e-9)
    np.testing.assert_allclose(share_split(other), share_split(one), rtol=1e-9)


def test_the_opposite_score_has_opposite_slopes(rng):
    gradient, features = fields(rng, 1), fields(rng, 3)
    one, other = (of_score(sign * gradient, features) for sign in (1, -1))
    for function in (slopes, slopes_alone):
        np.testing.assert_allclose(function(other), -function(one).numpy(), rtol=1e-12)
    np.testing.assert_allclose(share_split(other), share_split(one), rtol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_collinear_features_share_what_they_explain(rng, noise):
    gradient, features = fields(rng, 1), fields(rng, 2)
    twin = 3 * features[:, :1] + noise * fields(rng, 1)
    both = of_score(gradient, np.concatenate([features, twin], axis=1))
    alone = slopes(of_score(gradient, features)).numpy()
    measured = slopes(both).numpy()
    # Unit gradients have equal coefficients, so half the slope each, the twin's per three times the unit.
    np.testing.assert_allclose(measured[:, 0], alone[:, 0] / 2, rtol=1e-6)
    np.testing.assert_allclose(measured[:, 2], alone[:, 0] / 6, rtol=1e-6)
    np.testing.assert_allclose(measured[:, 1], alone[:, 1], rtol=1e-6)
    np.testing.assert_allclose(tf.reduce_sum(share_split(both), 1), joint_alignment(both), rtol=1e-6)


def test_what_vanishes_has_no_slope(rng):
    gradient, features = fields(rng, 1), fields(rng, 2)
    features[0, 0] = 0
    gradient[1] = 0
    # A slope too large for float32.
    features[2, 1] *= 1e-60
    products = of_score(gradient, features)
    for function in (slopes, slopes_alone):
        values = function(products).numpy()
        # Per unit of a feature that does not react to the image there is no change; a flat score has none.
        assert np.isnan(values).tolist() == [[True, False], [False, False], [False, True], [False, False]]
        assert values[1].tolist() == [0, 0]
    split = share_split(products).numpy()
    assert np.isfinite(split).all()
    assert (split[0, 0], *split[1]) == (0, 0, 0)


@pytest.mark.parametrize("classes", [2, 4])
def test_several_logits_have_the_slopes_of_their_margin(rng, classes):
    jacobian, features = fields(rng, classes), fields(rng, 3)
    logits = tf.constant(rng.normal(size=(4, classes)))
    section = np.einsum("rk,bkhwc->brhwc", contrasts(classes), jacobian)
    measured = decision_products(of_score(section, features), logits)
    pair = decision_pair(logits).numpy()
    margin = np.stack([jacobian[b, one] - jacobian[b, two] for b, (one, two) in enumerate(pair)])
    for part, expected in zip(measured, of_score(margin[:, None], features)):
        np.testing.assert_allclose(part, expected, rtol=1e-9, atol=1e-9)
