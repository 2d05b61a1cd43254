"""Paths that stay in the range of the images, by hand and against tiny steps of the projected gradient."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tiny_steps import autodiff, in_tiny_steps

from fgf_keras.errors import ConfigError
from fgf_keras.flow.chords import Observer
from fgf_keras.flow.gradient_flow import gradient_flow
from fgf_keras.flow.settings import Flow
from fgf_keras.flow.status import FlowStatus
from fgf_keras.geometry.alignment import alignment_products, joint_alignment, pointwise_alignment

SHAPE = (10, 10, 1)
AXES = [1, 2, 3]
BOUNDED = Flow(range="bounded")


def pixels(*points):
    """Images of one row of pixels."""
    return tf.constant(np.reshape(points, (len(points), 1, -1, 1)), tf.float64)


SQUARES = Observer(lambda point: point.direction[:, 0, :, 0] ** 2, 3)
SHARES = Observer(lambda p, g: pointwise_alignment(alignment_products(p.direction[:, None], g)), 2)


def dense(activation, offset=0.0, sizes=(100, 64, 32, 1)):
    """A random dense network of float64 on images in [0, 1]."""
    rng = np.random.default_rng(0)
    layers = [
        (tf.constant(rng.normal(size=(a, b)) * np.sqrt(2 / a)), tf.constant(0.1 * rng.normal(size=b)))
        for a, b in itertools.pairwise(sizes)
    ]

    def z(x, *context):
        del context
        x = tf.reshape(3 * (x - 0.5), [-1, sizes[0]])
        for k, (kernel, bias) in enumerate(layers):
            x = x @ kernel + bias
            x = activation(x) if k + 1 < len(layers) else x
        return x[:, 0] + offset

    return z


def quadratic(x, *context):
    del context
    weights = tf.constant(np.random.default_rng(3).normal(size=SHAPE))
    return tf.reduce_sum((weights * (x - 0.3) + 0.5) * (x - 0.3), AXES) + 4.0


SCORES = {
    "quadratic": quadratic,
    "tanh": dense(tf.tanh, 4.0),
    "relu": dense(tf.nn.relu, 3.0),
}


@pytest.fixture
def samples(rng):
    # Many values lie near a limit.
    return rng.beta(0.5, 0.5, size=(16, *SHAPE)), rng.normal(size=(16, 2, *SHAPE))


def followed(z, x, fields, *, compiled=False, **settings):
    """The flow of samples, with S of two fixed fields."""
    flow = Flow(**({"range": "bounded"} | settings))
    run = tf.function(
        lambda x, g: gradient_flow(autodiff(z), x, SHARES, context=(g,), flow=flow, compiled=compiled),
        autograph=False,
        jit_compile=compiled,
    )
    return run(tf.constant(x), tf.constant(fields))


@pytest.mark.parametrize("name", SCORES)
def test_a_bounded_path_is_that_of_tiny_steps_of_the_projected_gradient(samples, name):
    flow, free = (followed(SCORES[name], *samples, range=path) for path in ("bounded", "free"))
    np.testing.assert_array_equal(flow.status, FlowStatus.REACHED)
    outside = (free.boundary < 0) | (free.boundary > 1)
    assert np.mean(outside) > 0.1
    assert np.all((flow.boundary >= 0) & (flow.boundary <= 1))
    end, shares, length = in_tiny_steps(
        SCORES[name], *samples, flow.length.numpy(), steps=10_000, block=50, most=4, bounded=True
    )
    np.testing.assert_allclose(flow.arc_mean, shares, atol=5e-3)
    np.testing.assert_allclose(flow.length, length, rtol=6e-2)
    assert np.median(np.abs(flow.boundary - end)) < 2e-3
    np.testing.assert_allclose(flow.residual, 0, atol=1e-3)
    assert np.median(flow.evaluations) <= 1.5 * np.median(free.evaluations)


def test_a_linear_score_in_a_box_has_the_path_by_hand():
    # z = 2u + v + w from (0.3, 0.8, 0.9) down to 0.55: all pixels move until u = 0, then v and w until v = 0,
    # then w alone. Legs in time: 0.15, 0.65, and the rest.
    flow = gradient_flow(
        autodiff(lambda x: tf.reduce_sum(tf.constant([2.0, 1.0, 1.0], tf.float64) * x[:, 0, :, 0], 1) - 0.05),
        pixels([0.3, 0.8, 0.9]),
        SQUARES,
        flow=BOUNDED,
    )
    legs = np.array([0.15 * np.sqrt(6), 0.65 * np.sqrt(2), 0.05])
    squares = np.array([[4 / 6, 1 / 6, 1 / 6], [0, 0.5, 0.5], [0, 0, 1]])
    drops = np.array([0.15 * 6, 0.65 * 2, 0.05])
    assert flow.status[0] == FlowStatus.REACHED
    np.testing.assert_allclose(flow.boundary[0, 0, :, 0], [0, 0, 0.05], atol=1e-9)
    np.testing.assert_allclose(flow.length[0], legs.sum(), rtol=1e-4)
    np.testing.assert_allclose(flow.arc_mean[0], legs @ squares / legs.sum(), rtol=1e-4)
    np.testing.assert_allclose(flow.score_mean[0], drops @ squares / drops.sum(), rtol=1e-4)


def test_the_end_of_a_linear_path_is_found_with_few_gradients(samples):
    # With a constant gradient, steps are cut off where they should be, and the distance is known beforehand.
    weights = tf.constant(np.random.default_rng(5).normal(size=SHAPE))
    x, fields = samples
    flow = followed(lambda x, *_: tf.reduce_sum(weights * x, AXES) - 12, x, fields, tolerance=0.02)
    np.testing.assert_array_equal(flow.status, FlowStatus.REACHED)
    assert np.median(flow.evaluations) <= 17
    np.testing.assert_allclose(flow.residual, 0, atol=1e-9)
    # The end is the projection along the gradient: x clipped after a common time.
    end = flow.boundary.numpy()
    time = np.where((end > 0) & (end < 1), (end - x) / weights.numpy(), np.nan)
    np.testing.assert_allclose(np.nanmax(time, (1, 2, 3)), np.nanmin(time, (1, 2, 3)), rtol=1e-6)


def test_the_score_weighted_joint_share_is_the_part_of_its_change_along_the_features(samples):
    x, fields = samples
    joint = Observer(lambda p, g: joint_alignment(alignment_products(p.direction[:, None], g))[:, None], 1)
    score, settings = autodiff(SCORES["tanh"]), Flow(range="bounded", steps=64)
    run = tf.function(
        lambda x, g: gradient_flow(score, x, joint, context=(g,), flow=settings), autograph=False
    )
    flow = run(tf.constant(x), tf.constant(fields))
    span = np.linalg.qr(np.moveaxis(fields.reshape(-1, 2, 100), 1, 2))[0]
    z0 = score(tf.constant(x))[0].numpy()
    score = tf.function(score, autograph=False)
    along, node, steps = np.zeros(len(x)), x.copy(), 1500
    for _ in range(3 * steps):
        z, gradient = (t.numpy() for t in score(tf.constant(node)))
        left = z * np.sign(z0) > 0
        if not left.any():
            break
        downhill = -np.sign(z0)[:, None, None, None] * gradient
        downhill[((node <= 0) & (downhill < 0)) | ((node >= 1) & (downhill > 0))] = 0
        step = np.where(left, flow.length / steps / np.sqrt((downhill**2).sum((1, 2, 3))), 0)
        after = np.clip(node + step[:, None, None, None] * downhill, 0, 1)
        move, slope = (after - node).reshape(-1, 100), downhill.reshape(-1, 100)
        along += np.einsum("bi,bif,bjf,bj->b", slope, span, span, move)
        node = after
    np.testing.assert_allclose(flow.score_mean[:, 0], along / np.abs(z0), atol=2e-3)


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_an_increasing_function_of_the_score_changes_nothing(samples, name):
    expected = followed(SCORES[name], *samples)
    for scale in (lambda z: z**3 + z, lambda z: 1e-6 * z, lambda z: 5 * tf.tanh(z / 5)):
        found = followed(lambda x, *c, s=scale: s(SCORES[name](x)), *samples)
        np.testing.assert_array_equal(found.status, expected.status)
        np.testing.assert_allclose(found.arc_mean, expected.arc_mean, atol=5e-3)


@pytest.mark.parametrize(("name", "precision"), [("quadratic", 1e-7), ("relu", 5e-3)])
def test_a_compiled_bounded_flow_is_the_same(samples, name, precision):
    # On sliding paths, rounding decides on which side of a kink a step ends.
    expected, found = (followed(SCORES[name], *samples, compiled=compiled) for compiled in (False, True))
    np.testing.assert_array_equal(found.status, expected.status)
    for key in ("arc_mean", "score_mean", "residual"):
        np.testing.assert_allclose(getattr(found, key), getattr(expected, key), atol=precision, err_msg=key)
    assert np.all((found.boundary >= 0) & (found.boundary <= 1))
    assert np.median(np.abs(found.boundary - expected.boundary)) < precision


def test_a_path_that_meets_no_limit_is_the_free_one(rng):
    x, fields = rng.uniform(0.45, 0.55, size=(6, *SHAPE)), rng.normal(size=(6, 2, *SHAPE))
    z = dense(tf.tanh)
    bounded, free = (followed(z, x, fields, range=path) for path in ("bounded", "free"))
    inside = np.all((free.boundary > 0) & (free.boundary < 1), axis=(1, 2, 3))
    assert inside.sum() >= 3
    for key in ("boundary", "length", "arc_mean", "evaluations"):
        np.testing.assert_allclose(getattr(bounded, key)[inside], getattr(free, key)[inside], rtol=1e-9)


@pytest.mark.parametrize(
    ("function", "status"),
    [
        (lambda x: tf.reduce_sum(x, AXES) + 0.1, FlowStatus.BLOCKED),
        (lambda x: tf.exp(tf.reduce_sum(x, AXES)), FlowStatus.BLOCKED),
        (lambda x: x[:, 0, 0, 0] + (x[:, 0, 1, 0] - 0.4) ** 2 + 0.1 + 0 * x[:, 0, 2, 0], FlowStatus.BLOCKED),
        (lambda x: tf.reduce_sum((x - 0.4) ** 2, AXES) + 0.1, FlowStatus.STATIONARY),
        (lambda x: 0 * tf.reduce_sum(x, AXES) + 0.1, FlowStatus.STATIONARY),
    ],
    ids=["plane", "slope without end", "valley to a limit", "bowl", "constant"],
)
def test_a_score_without_a_zero_in_the_box_is_blocked_or_stationary(function, status):
    flow = gradient_flow(autodiff(function), pixels([0.8, 0.5, 1.0]), SQUARES, flow=BOUNDED)
    assert flow.status[0] == status
    assert np.all((flow.boundary >= 0) & (flow.boundary <= 1))
    for value in (flow.arc_mean, flow.score_mean, flow.length):
        assert np.all(np.isnan(value))


def test_a_sample_in_the_corner_that_the_path_would_leave_is_blocked_at_once():
    score = autodiff(lambda x: tf.reduce_sum(x, AXES) + 0.1)
    flow = gradient_flow(score, pixels([0.0, 0.0, 0.0]), SQUARES, flow=BOUNDED)
    assert flow.status[0] == FlowStatus.BLOCKED
    assert flow.evaluations[0] == 1


def test_a_range_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="range must be one of free, bounded"):
        Flow(range="clipped")
