"""Alignment from inner products, against projections computed by numpy in float64."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.geometry.alignment import (
    alignment_products,
    class_products,
    differentiable_alignment,
    joint_alignment,
    pointwise_alignment,
    projection,
)
from fgf_keras.geometry.products import on_support
from fgf_keras.geometry.sections import contrasts, section_scores
from fgf_keras.geometry.shares import shapley_shares, unique_shares

TOLERANCE = 1e-12
SHAPE = (5, 6, 2)


def stacks(rng, *counts, batch=4):
    return [tf.constant(rng.normal(size=(batch, count, *SHAPE))) for count in counts]


def basis(stack):
    """An orthonormal basis of the span of (k, H, W, C) fields, as columns."""
    u, s, _ = np.linalg.svd(stack.reshape(len(stack), -1).T, full_matrices=False)
    return u[:, s > 1e-9 * s[0]]


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_alignment_is_that_of_orthonormal_bases(rng, rank, count):
    section, features = stacks(rng, rank, count)
    products = alignment_products(section, features)
    for b in range(4):
        q = basis(section.numpy()[b])
        flat = features.numpy()[b].reshape(count, -1)
        pointwise = ((flat @ q) ** 2).sum(axis=1) / (flat**2).sum(axis=1)
        joint = ((q.T @ basis(features.numpy()[b])) ** 2).sum() / rank
        np.testing.assert_allclose(pointwise_alignment(products)[b], pointwise, rtol=TOLERANCE)
        np.testing.assert_allclose(joint_alignment(products)[b], joint, rtol=1e-10)


def test_two_classes_give_the_squared_cosine(rng):
    section, features = stacks(rng, 1, 3)
    z, g = section.numpy()[:, 0].reshape(4, 1, -1), features.numpy().reshape(4, 3, -1)
    cosine = (z * g).sum(-1) / np.linalg.norm(z, axis=-1) / np.linalg.norm(g, axis=-1)
    measured = pointwise_alignment(alignment_products(section, features))
    np.testing.assert_allclose(measured, cosine**2, rtol=TOLERANCE)


def test_two_logits_and_their_difference_give_the_same_section(rng):
    a, b = rng.normal(size=(2, 4, *SHAPE))
    (features,) = stacks(rng, 3)
    row = contrasts(2)[0]
    of_two = tf.constant((row[0] * a + row[1] * b)[:, None])
    of_difference = tf.constant((b - a)[:, None])
    for measure in (pointwise_alignment, joint_alignment):
        np.testing.assert_allclose(
            measure(alignment_products(of_two, features)),
            measure(alignment_products(of_difference, features)),
            rtol=TOLERANCE,
        )


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_contrasts_span_the_rows_of_the_centring_matrix(classes):
    rows = contrasts(classes)
    np.testing.assert_allclose(rows @ rows.T, np.eye(classes - 1), atol=1e-15)
    np.testing.assert_allclose(rows.T @ rows, np.eye(classes) - 1 / classes, atol=1e-15)


def test_a_constant_added_to_all_logits_changes_no_section_score(rng):
    logits = tf.constant(rng.normal(size=(3, 4)))
    np.testing.assert_allclose(section_scores(logits), section_scores(logits + 7.0), atol=1e-14)


def test_class_products_are_those_of_the_centred_logits_gradient(rng):
    jacobian, features = stacks(rng, 4, 3)
    centred = jacobian - tf.reduce_mean(jacobian, axis=1, keepdims=True)
    section = tf.einsum("rk,bkhwc->brhwc", tf.constant(contrasts(4)), jacobian)
    for k, products in enumerate(class_products(alignment_products(section, features), contrasts(4))):
        alone = alignment_products(centred[:, k : k + 1], features)
        for part, expected in zip(products, alone):
            np.testing.assert_allclose(part, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("noise", [0.0, 1e-8])
def test_collinear_features_count_once(rng, dtype, noise):
    section, features = (tf.cast(s, dtype) for s in stacks(rng, 1, 2))
    copy = -3 * features[:, :1] + noise * tf.cast(stacks(rng, 1)[0], dtype)
    both = alignment_products(section, tf.concat([features, copy], axis=1))
    independent = alignment_products(section, features)
    limit = 1e-5 if dtype == tf.float32 else 1e-8 if noise else 1e-12
    np.testing.assert_allclose(joint_alignment(both), joint_alignment(independent), rtol=limit, atol=limit)
    np.testing.assert_allclose(unique_shares(both)[:, 0], 0, atol=limit)
    np.testing.assert_allclose(unique_shares(both)[:, 2], 0, atol=limit)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_shapley_shares_sum_to_the_joint_share(rng, rank, count):
    section, features = stacks(rng, rank, count)
    products = alignment_products(section, features)
    np.testing.assert_allclose(
        tf.reduce_sum(shapley_shares(products), axis=1), joint_alignment(products), rtol=1e-10
    )


def test_shapley_shares_of_orthogonal_features_are_their_pointwise_alignments(rng):
    q, _ = np.linalg.qr(rng.normal(size=(np.prod(SHAPE), 3)))
    features = tf.constant(q.T.reshape(1, 3, *SHAPE))
    (section,) = stacks(rng, 1, batch=1)
    products = alignment_products(section, features)
    for shares in (shapley_shares, unique_shares):
        np.testing.assert_allclose(shares(products), pointwise_alignment(products), rtol=1e-10)


def test_shapley_share_of_two_features_is_the_mean_over_both_orders(rng):
    section, features = stacks(rng, 1, 2)
    products = alignment_products(section, features)
    alone, unique = pointwise_alignment(products), unique_shares(products)
    np.testing.assert_allclose(shapley_shares(products), (alone + unique) / 2, rtol=1e-10)


def test_more_than_ten_features_have_no_exact_shapley_shares(rng):
    with pytest.raises(ValueError, match="at most 10 features"):
        shapley_shares(alignment_products(*stacks(rng, 1, 11)))


def test_unique_shares_are_not_negative_and_alignments_are_in_the_unit_interval(rng):
    section, features = stacks(rng, 1, 8, batch=200)
    # Nearly parallel features and a section inside their span push rounding to the limits.
    features = features[:, :1] + 1e-3 * features
    section = tf.reduce_sum(features, axis=1, keepdims=True)
    for dtype in (tf.float32, tf.float64):
        products = alignment_products(tf.cast(section, dtype), tf.cast(features, dtype))
        assert np.all(unique_shares(products) >= 0)
        for share in (pointwise_alignment(products), joint_alignment(products)):
            assert np.all((share.numpy() >= 0) & (share.numpy() <= 1))


def test_a_vanishing_section_is_undefined_and_does_not_touch_its_neighbours(rng):
    section, features = stacks(rng, 1, 2)
    whole = joint_alignment(alignment_products(section, features)).numpy()
    section = section * tf.reshape(tf.constant([1.0, 0, 1, 1], tf.float64), [4, 1, 1, 1, 1])
    products = alignment_products(section, features)
    assert np.isnan(joint_alignment(products)[1])
    assert np.all(np.isnan(pointwise_alignment(products)[1]))
    np.testing.assert_array_equal(joint_alignment(products).numpy()[[0, 2, 3]], whole[[0, 2, 3]])


def test_a_section_that_is_not_finite_is_undefined_and_does_not_fail_its_batch(rng):
    section, features = stacks(rng, 1, 2)
    section = section.numpy()
    section[2, 0, 0, 0, 0] = np.inf
    joint = joint_alignment(alignment_products(tf.constant(section), features)).numpy()
    np.testing.assert_array_equal(np.isnan(joint), [False, False, True, False])


def test_a_feature_without_gradient_explains_nothing(rng):
    section, features = stacks(rng, 1, 2)
    with_zero = tf.concat([features, tf.zeros_like(features[:, :1])], axis=1)
    products = alignment_products(section, with_zero)
    np.testing.assert_array_equal(pointwise_alignment(products)[:, 2], 0)
    np.testing.assert_allclose(
        joint_alignment(products), joint_alignment(alignment_products(section, features)), rtol=TOLERANCE
    )


def test_alignment_does_not_depend_on_the_scale_of_gradients(rng):
    section, features = stacks(rng, 2, 3)
    scaled = alignment_products(1e-6 * section, features * np.reshape([1e4, 1e-4, -1.0], [3, 1, 1, 1]))
    np.testing.assert_allclose(
        joint_alignment(scaled), joint_alignment(alignment_products(section, features)), rtol=1e-9
    )


@pytest.mark.parametrize("size", [1e-6, 1, 1e6])
@pytest.mark.parametrize("rank", [1, 3])
def test_the_alignment_for_training_is_the_measured_one_whatever_the_size_of_the_gradient(rng, rank, size):
    section, features = stacks(rng, rank, 3)
    products = alignment_products(size * section, features)
    pointwise, joint = differentiable_alignment(products, 1e-15)
    np.testing.assert_allclose(pointwise, pointwise_alignment(products), rtol=1e-10)
    np.testing.assert_allclose(joint, joint_alignment(products), rtol=1e-10)


def test_the_alignment_for_training_is_zero_with_zero_gradient_where_the_section_vanishes(rng):
    section, features = stacks(rng, 1, 3)
    section = tf.zeros_like(section)
    with tf.GradientTape() as tape:
        tape.watch(section)
        pointwise, joint = differentiable_alignment(alignment_products(section, features), 1e-12)
        total = tf.reduce_sum(pointwise) + tf.reduce_sum(joint)
    assert float(total) == 0
    np.testing.assert_array_equal(tape.gradient(total, section), 0)


def test_explained_and_unexplained_part_are_orthogonal_and_sized_by_the_joint_share(rng):
    section, features = stacks(rng, 1, 3)
    explained = projection(section, features).numpy()
    rest = section.numpy() - explained
    axes = (1, 2, 3, 4)
    np.testing.assert_allclose((explained * rest).sum(axes), 0, atol=1e-12)
    share = (explained**2).sum(axes) / (section.numpy() ** 2).sum(axes)
    np.testing.assert_allclose(share, joint_alignment(alignment_products(section, features)), rtol=1e-10)


def test_a_support_leaves_only_its_pixels(rng):
    section, _ = stacks(rng, 2, 1)
    mask = (rng.random((4, 5, 6, 1)) > 0.5).astype(float)
    np.testing.assert_array_equal(on_support(section, mask), section.numpy() * mask[:, None])
    np.testing.assert_array_equal(on_support(section[:, 0], mask), section.numpy()[:, 0] * mask)
    assert on_support(section, None) is section
