"""F of a field that does not change along the path is known from the directions of the path."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.flow.chords import Observer
from fgf_keras.flow.directions import DIRECTIONS
from fgf_keras.flow.gradient_flow import gradient_flow
from fgf_keras.flow.settings import Flow
from fgf_keras.geometry.alignment import alignment_products, joint_alignment, pointwise_alignment
from fgf_keras.nulls.white import fixed_field_alignment

SHAPE = (4, 5, 1)


@pytest.fixture
def paths(rng):
    """Score and gradient of a function whose gradient turns, images, and three fields for each."""
    kernels = tf.constant(rng.normal(size=(6, *SHAPE)))

    def score(image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            inside = tf.tensordot(image, kernels, [[1, 2, 3], [1, 2, 3]])
            z = tf.reduce_sum(tf.exp(0.3 * inside), axis=1) - 3
        return z, tape.gradient(z, image)

    return score, tf.constant(rng.normal(size=(3, *SHAPE))), tf.constant(rng.normal(size=(3, 3, *SHAPE)))


def followed(paths, weight, steps):
    """Shares of the fields by their directions, and as the path observes them."""
    score, image, fields = paths

    def observe(point, fields):
        products = alignment_products(point.direction[:, tf.newaxis], fields)
        return tf.concat([pointwise_alignment(products), joint_alignment(products)[:, tf.newaxis]], axis=1)

    flow = gradient_flow(
        lambda image, fields: score(image),
        image,
        observer=Observer(observe, 4),
        context=(fields,),
        flow=Flow(steps=steps, max_steps=2 * steps, tolerance=1.0, average=weight),
        directions=True,
    )
    flat = tf.reshape(flow.directions, [3, DIRECTIONS, -1])
    shares = [
        fixed_field_alignment(u, tf.matmul(u, u, transpose_b=True), tf.reshape(f, [1, 3, -1]))[0]
        for u, f in zip(flat, fields)
    ]
    return np.stack(shares), flow.arc_mean if weight == "arc" else flow.score_mean, flat


@pytest.mark.parametrize("weight", ["arc", "score"])
@pytest.mark.parametrize("steps", [2, 4])
def test_fixed_fields_have_the_f_that_is_observed_along_the_path(paths, weight, steps):
    shares, observed, flat = followed(paths, weight, steps)
    assert np.ptp(observed) > 0.05
    # Both are the same sum over the same points.
    np.testing.assert_allclose(shares, observed, rtol=0, atol=1e-9)
    assert np.allclose(tf.reduce_sum(flat**2, axis=[1, 2]), 1)


def test_what_many_steps_add_beyond_the_fields_that_are_held_is_small(paths):
    shares, observed, _ = followed(paths, "arc", 16)
    np.testing.assert_allclose(shares, observed, rtol=0, atol=1e-3)
    assert not np.allclose(shares, followed(paths, "arc", 2)[0], rtol=0, atol=1e-3)


def test_no_directions_are_held_unless_they_are_asked_for(paths):
    score, image, _ = paths
    observe = lambda point: point.direction[:, 0, 0]  # noqa: E731
    flow = gradient_flow(score, image, Observer(observe, 1), flow=Flow(steps=1))
    assert flow.directions.shape[1] == 0
