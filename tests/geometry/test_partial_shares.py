"""Partial shares, against least squares in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.geometry.alignment import alignment_products, joint_alignment, pointwise_alignment
from fgf_keras.geometry.partial import partial_shares
from fgf_keras.geometry.shares import unique_shares

SHAPE = (5, 6, 2)
BATCH = 4


def stack(rng, count):
    return rng.normal(size=(BATCH, count, *SHAPE))


def shares(section, features):
    return partial_shares(alignment_products(tf.constant(section), tf.constant(features)))


def residuals(fields, others):
    """What least squares on the others leaves of fields (k, d)."""
    if not len(others):
        return fields
    return fields - (others.T @ np.linalg.lstsq(others.T, fields.T, rcond=1e-9)[0]).T


def reference(section, features):
    """(B, m) by definition: residuals, then the share of one that lies in the span of the other."""
    found = np.empty(features.shape[:2])
    for b, (z, g) in enumerate(zip(section, features)):
        z, g = z.reshape(len(z), -1), g.reshape(len(g), -1)
        for i in range(len(g)):
            others = np.delete(g, i, axis=0)
            left, own = residuals(z, others), residuals(g[i : i + 1], others)[0]
            rest = residuals(own[np.newaxis], left)[0]
            found[b, i] = 1 - (rest @ rest) / (own @ own)
    return found


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_partial_shares_are_those_of_residuals_of_least_squares(rng, rank, count):
    section, features = stack(rng, rank), stack(rng, count) + 0.7
    measured = shares(section, features)
    np.testing.assert_allclose(measured.share, reference(section, features), rtol=1e-9)
    np.testing.assert_array_equal(measured.rank_others, count - 1)
    np.testing.assert_array_equal(measured.rank_section, rank)


def test_for_two_classes_it_is_the_unique_share_of_what_the_others_leave(rng):
    section, features = stack(rng, 1) + 1, stack(rng, 3) + 1
    products = alignment_products(tf.constant(section), tf.constant(features))
    joint, unique = joint_alignment(products).numpy()[:, np.newaxis], unique_shares(products).numpy()
    np.testing.assert_allclose(partial_shares(products).share, unique / (1 - joint + unique), rtol=1e-9)


@pytest.mark.parametrize("rank", [1, 3])
def test_of_a_single_feature_it_is_its_pointwise_alignment(rng, rank):
    products = alignment_products(tf.constant(stack(rng, rank)), tf.constant(stack(rng, 1)))
    np.testing.assert_allclose(partial_shares(products).share, pointwise_alignment(products), rtol=1e-12)


def test_of_orthogonal_features_it_is_s_over_what_the_others_leave(rng):
    q, _ = np.linalg.qr(rng.normal(size=(np.prod(SHAPE), 3)))
    features = np.broadcast_to(q.T.reshape(1, 3, *SHAPE), (BATCH, 3, *SHAPE))
    products = alignment_products(tf.constant(stack(rng, 1)), tf.constant(features))
    s = pointwise_alignment(products).numpy()
    others = s.sum(axis=1, keepdims=True) - s
    np.testing.assert_allclose(partial_shares(products).share, s / (1 - others), rtol=1e-10)


def test_it_does_not_depend_on_scales_nor_on_what_others_are_added(rng):
    section, features = stack(rng, 1) + 0.5, stack(rng, 3) + 0.5
    plain = shares(section, features).share
    scaled = shares(-1e6 * section, features * np.reshape([1e4, 1e-4, -1.0], (3, 1, 1, 1))).share
    np.testing.assert_allclose(scaled, plain, rtol=1e-8)
    # Neither ∇z nor the gradient of the first feature changes when some of the others is added to it.
    features[:, 0] += 2 * features[:, 1] - features[:, 2]
    section[:, 0] += 3 * features[:, 2]
    np.testing.assert_allclose(shares(section, features).share[:, 0], plain[:, 0], rtol=1e-8)


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_collinear_features_explain_nothing_of_their_own(rng, noise):
    section, features = stack(rng, 1), stack(rng, 2)
    copy = -3 * features[:, :1] + noise * stack(rng, 1)
    both = shares(section, np.concatenate([features, copy], axis=1))
    np.testing.assert_array_equal(both.share.numpy()[:, [0, 2]], 0)
    np.testing.assert_allclose(both.share[:, 1], shares(section, features).share[:, 1], rtol=1e-5)
    np.testing.assert_array_equal(both.rank_others, np.broadcast_to([2, 1, 2], (BATCH, 3)))


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_nothing_is_left_to_explain_in_the_span_of_the_others(rng, noise):
    features = stack(rng, 3)
    section = 2 * features[:, :1] - features[:, 1:2] + noise * stack(rng, 1)
    measured = shares(section, features)
    # Without either of the first two features, the rest is its alone.
    np.testing.assert_allclose(measured.share, [[1, 1, np.nan]] * BATCH, atol=1e-10)
    np.testing.assert_array_equal(measured.rank_section, [[1, 1, 0]] * BATCH)


def test_directions_of_a_section_in_the_span_of_the_others_are_left_out(rng):
    features, own = stack(rng, 2), stack(rng, 1)
    section = np.concatenate([features[:, 1:], own], axis=1)
    measured = shares(section, features)
    np.testing.assert_array_equal(measured.rank_section, [[1, 2]] * BATCH)
    np.testing.assert_allclose(measured.share[:, 0], shares(own, features).share[:, 0], rtol=1e-9)


def test_dependent_gradients_of_a_section_count_once(rng):
    section, features = stack(rng, 2), stack(rng, 3)
    three = np.concatenate([section, section[:, :1] - 2 * section[:, 1:]], axis=1)
    np.testing.assert_allclose(shares(three, features).share, shares(section, features).share, rtol=1e-8)


def test_vanishing_and_infinite_gradients_do_not_touch_their_neighbours(rng):
    section, features = stack(rng, 1), stack(rng, 2)
    whole = shares(section, features).share.numpy()
    section[1], section[2, 0, 0, 0, 0], features[3, 0] = 0, np.inf, 0
    share = shares(section, features).share.numpy()
    np.testing.assert_array_equal(share[0], whole[0])
    assert np.isnan(share[1:3]).all()
    # A feature without gradient explains nothing, and leaves all to the other.
    alone = pointwise_alignment(alignment_products(tf.constant(section), tf.constant(features)))
    np.testing.assert_allclose(share[3], [0, alone[3, 1]], rtol=1e-12)
