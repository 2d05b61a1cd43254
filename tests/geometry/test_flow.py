"""Paths to the decision boundary, against flows known in closed form."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.geometry.alignment import alignment_products, joint_alignment, pointwise_alignment
from fgf_keras.geometry.flow import gradient_flow
from fgf_keras.geometry.flow_status import FlowStatus
from fgf_keras.geometry.path_average import Observer

SHAPE = (4, 5, 1)
AXES = [1, 2, 3]


def autodiff(function):
    """Score and gradient of a function of images."""

    def score(image, *context):
        with tf.GradientTape() as tape:
            tape.watch(image)
            z = function(image, *context)
        return z, tape.gradient(z, image)

    return score


def observe_constant(point, *context):
    return tf.ones_like(point.image[:, 0, 0])


@pytest.fixture
def images(rng):
    return tf.constant(rng.normal(size=(6, *SHAPE)))


@pytest.mark.parametrize("graph", [False, True])
def test_a_linear_score_has_straight_paths_of_known_length(rng, images, graph):
    a = tf.constant(rng.normal(size=SHAPE))
    g = tf.constant(rng.normal(size=(1, 2, *SHAPE)))
    score = autodiff(lambda x: tf.reduce_sum(a * x, AXES) + 0.3)

    def observe(point):
        gradient = point.gradient[:, None]
        products = alignment_products(gradient, tf.repeat(g, tf.shape(gradient)[0], axis=0))
        return pointwise_alignment(products)

    run = tf.function(lambda x: gradient_flow(score, x, Observer(observe, 2))) if graph else None
    flow = run(images) if graph else gradient_flow(score, images, Observer(observe, 2))
    norm = float(tf.norm(a))
    np.testing.assert_allclose(flow.length, np.abs(flow.score) / norm, rtol=1e-12)
    np.testing.assert_allclose(flow.residual, 0, atol=1e-12)
    np.testing.assert_allclose(
        flow.boundary, images - flow.score[:, None, None, None] * a / norm**2, atol=1e-12
    )
    cosine = tf.reduce_sum(a * g[0], AXES) / norm / tf.sqrt(tf.reduce_sum(g[0] ** 2, AXES))
    for mean in (flow.arc_mean, flow.score_mean):
        np.testing.assert_allclose(mean, np.tile(cosine**2, (6, 1)), rtol=1e-12)
    np.testing.assert_array_equal(flow.status, FlowStatus.REACHED)
    np.testing.assert_array_equal(flow.evaluations, 9)


def test_a_radial_score_has_radial_paths_to_the_sphere(images):
    # z = |x|² - 1: paths run along x and end at x/|x|.
    flow = gradient_flow(
        autodiff(lambda x: tf.reduce_sum(x**2, AXES) - 1),
        images,
        observer=Observer(observe_constant, 1),
        tolerance=1e-6,
    )
    radius = tf.sqrt(tf.reduce_sum(images**2, AXES, keepdims=True))
    np.testing.assert_allclose(flow.boundary, images / radius, rtol=1e-4)
    np.testing.assert_allclose(flow.length, np.abs(radius[:, 0, 0, 0] - 1), rtol=1e-3)


def test_a_quadratic_score_follows_the_exponential_of_its_matrix(rng):
    # z = x₁² + 4x₂² - c: along its gradient x₁ ∝ e^t, x₂ ∝ e^{4t}, so x₂ x₁⁻⁴ is constant.
    x = tf.constant(rng.uniform(1, 2, size=(5, 1, 2, 1)))
    c = tf.constant([[[1.0], [4.0]]], tf.float64)
    score = autodiff(lambda x: tf.reduce_sum(c * x**2, AXES) - 3.0)
    flow = gradient_flow(score, x, Observer(observe_constant, 1), steps=32, tolerance=1e-6)
    end = flow.boundary.numpy()[:, 0, :, 0]
    start = x.numpy()[:, 0, :, 0]
    np.testing.assert_allclose(end[:, 1] / end[:, 0] ** 4, start[:, 1] / start[:, 0] ** 4, rtol=1e-4)
    np.testing.assert_allclose(end[:, 0] ** 2 + 4 * end[:, 1] ** 2, 3, rtol=1e-6)


def test_the_drift_falls_with_the_fourth_power_of_the_steps_and_a_newton_step_squares_it(images):
    score = autodiff(lambda x: tf.reduce_sum(tf.exp(0.3 * x), AXES) - 15.0)
    coarse, fine = (
        gradient_flow(score, images, Observer(observe_constant, 1), steps=s, max_steps=s) for s in (8, 16)
    )
    assert 12 < np.median(coarse.drift) / np.median(fine.drift) < 20
    assert np.all(coarse.residual <= 10 * coarse.drift**2)
    assert np.all(coarse.drift > 0)


def test_arc_and_score_means_weight_the_path_as_they_say(rng):
    # z = x² - ¼ in one pixel, from x₀ to ½: the arc mean of x is (x₀ + ½)/2; over the score z = z₀(1-τ) it is
    # ∫x dz / z₀ = ⅔ (x₀³ - ⅛) / (x₀² - ¼).
    x0 = rng.uniform(1, 3, size=(7, 1, 1, 1))
    flow = gradient_flow(
        autodiff(lambda x: tf.reduce_sum(x**2, AXES) - 0.25),
        tf.constant(x0),
        observer=Observer(lambda point: point.image[:, 0, 0], 1),
        steps=64,
    )
    x0 = x0[:, 0, 0, 0]
    np.testing.assert_allclose(flow.arc_mean[:, 0], (x0 + 0.5) / 2, rtol=1e-4)
    np.testing.assert_allclose(flow.score_mean[:, 0], (x0**3 - 1 / 8) / (x0**2 - 1 / 4) * 2 / 3, rtol=1e-4)


def test_the_score_weighted_joint_share_adds_up_to_the_change_of_score_along_the_features(rng):
    """Completeness: F_joint·(z₀ - z(1)) = ∫⟨P∇z, dx⟩, integrated here on its own with many small steps."""
    mix = tf.constant(rng.normal(size=(20, 20)) / 4)
    bend = tf.constant(rng.normal(size=(2, 20)))

    def z(x):
        hidden = tf.nn.elu(tf.reshape(x, [-1, 20]) @ mix)
        return tf.reduce_sum(hidden**2, axis=1) - 2.0

    def features(x):
        flat = tf.reshape(x, [-1, 1, 20])
        return tf.reshape(bend * tf.cos(flat * bend), [-1, 2, *SHAPE])

    def observe(point):
        products = alignment_products(point.gradient[:, None], features(point.image))
        return joint_alignment(products)[:, None]

    score = autodiff(z)
    x = tf.constant(rng.normal(size=(3, *SHAPE)))
    flow = gradient_flow(
        score,
        x,
        observer=Observer(observe, 1),
        steps=64,
    )
    z0, _ = score(x)
    along, steps = np.zeros(3), 500
    for _ in range(steps):
        middle = x
        for fraction in (0.5, 1.0):
            _, g = score(middle)
            dx = -(z0 / tf.reduce_sum(g**2, AXES) / steps)[:, None, None, None] * g
            middle = x + fraction * dx
            if fraction == 0.5:
                continue
            span = np.linalg.qr(np.moveaxis(features(x + dx / 2).numpy().reshape(3, 2, 20), 1, 2))[0]
            flat_g, flat_dx = g.numpy().reshape(3, 20), dx.numpy().reshape(3, 20)
            along += np.einsum("bi,bif,bjf,bj->b", flat_g, span, span, flat_dx)
        x = middle
    np.testing.assert_allclose(flow.score_mean[:, 0] * (0 - z0), along, rtol=2e-3)


def test_samples_above_the_tolerance_are_integrated_again_and_the_others_are_not(rng):
    # Curvature grows with the first pixel: some paths need more steps than others.
    x = tf.constant(rng.normal(size=(8, *SHAPE)))
    scale = tf.constant([0.1] * 4 + [1.4] * 4, tf.float64)
    score = autodiff(lambda x, s: tf.reduce_sum(tf.exp(s[:, None, None, None] * x), AXES) - 21.0)
    settings = {
        "observer": Observer(observe_constant, 1),
        "context": (scale,),
        "steps": 2,
        "tolerance": 1e-5,
    }
    once = gradient_flow(score, x, max_steps=2, **settings)
    again = gradient_flow(score, x, max_steps=256, **settings)
    late = once.status.numpy() == FlowStatus.NOT_REACHED
    assert 0 < late.sum() < 8
    np.testing.assert_array_equal(again.status, FlowStatus.REACHED)
    assert np.all(again.residual.numpy() <= 1e-5)
    np.testing.assert_array_equal(again.evaluations.numpy()[~late], 9)
    assert np.all(again.evaluations.numpy()[late] > 9)
    np.testing.assert_array_equal(again.boundary.numpy()[~late], once.boundary.numpy()[~late])


@pytest.mark.parametrize("steps", [1, 3])
def test_a_compiled_flow_has_the_paths_and_means_of_another(rng, steps):
    # Some paths are integrated again, one has no direction, one is at its end.
    x = rng.normal(size=(8, *SHAPE))
    x[7] = 0
    scale = tf.constant([0.1] * 3 + [1.4] * 3 + [0.0, 0.5], tf.float64)
    end = tf.constant([21.0] * 7 + [20.0], tf.float64)
    score = autodiff(lambda x, s, end: tf.reduce_sum(tf.exp(s[:, None, None, None] * x), AXES) - end)
    observer = Observer(lambda point, *_: tf.stack([point.size, point.image[:, 1, 2, 0]], axis=1), 2)

    def flow(compiled):
        def run(x, scale, end):
            settings = {"steps": steps, "max_steps": 64, "tolerance": 1e-5}
            return gradient_flow(
                score, x, observer, context=(scale, end), compiled=compiled, **settings
            )._asdict()

        return tf.function(run, jit_compile=compiled, autograph=False)(tf.constant(x), scale, end)

    expected, found = flow(False), flow(True)
    assert set(expected["status"].numpy()) == {
        FlowStatus.REACHED,
        FlowStatus.STATIONARY,
        FlowStatus.ON_BOUNDARY,
    }
    assert len(set(expected["evaluations"].numpy())) > 1
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_vanishing_gradient_is_stationary_and_its_means_are_undefined(images):
    zero = tf.reshape(tf.constant([0.0, 1, 1, 1, 1, 1], tf.float64), [6, 1, 1, 1])
    flow = gradient_flow(
        autodiff(lambda x, s: tf.reduce_sum(s * x, AXES) + 1.0),
        images,
        observer=Observer(observe_constant, 1),
        context=(zero,),
    )
    np.testing.assert_array_equal(flow.status, [FlowStatus.STATIONARY] + [FlowStatus.REACHED] * 5)
    assert np.isnan(flow.arc_mean[0, 0])
    assert np.isnan(flow.score_mean[0, 0])
    np.testing.assert_allclose(flow.arc_mean[1:], 1, rtol=1e-12)


def test_a_score_without_a_zero_is_not_reached(images):
    flow = gradient_flow(
        autodiff(lambda x: tf.reduce_sum(x**2, AXES) + 1),
        images,
        observer=Observer(observe_constant, 1),
        max_steps=8,
    )
    assert np.all(flow.status.numpy() != FlowStatus.REACHED)


def test_a_sample_on_the_boundary_stays_there_with_the_alignment_it_has(rng):
    a = tf.constant(rng.normal(size=SHAPE))
    flow = gradient_flow(
        autodiff(lambda x: tf.reduce_sum(a * x, AXES)),
        tf.zeros([1, *SHAPE], tf.float64),
        observer=Observer(lambda point: point.gradient[:, :1, 0, 0], 1),
    )
    assert flow.status[0] == FlowStatus.ON_BOUNDARY
    assert flow.length[0] == 0
    assert flow.residual[0] == 0
    np.testing.assert_allclose(flow.arc_mean[0], a[:1, 0, 0], rtol=1e-12)


def test_what_is_looked_at_in_part_and_known_to_be_linear_is_the_same(rng):
    bend, a = tf.constant(rng.normal(size=SHAPE)), tf.constant(rng.normal(size=SHAPE))
    x, pair = tf.constant(rng.normal(size=(3, *SHAPE))), tf.constant(rng.normal(size=(3, 2)))
    score = autodiff(lambda x, pair: tf.reduce_sum(tf.exp(bend * x), AXES) - 9 + 0 * pair[:, 0])

    def whole(point, pair):
        projected = tf.reduce_sum(a * point.gradient, AXES) + tf.reduce_sum(pair, 1)
        corner = point.gradient[:, 1, 2, 0] * point.image[:, 1, 2, 0]
        size = tf.reduce_sum(point.gradient**2, AXES)
        return tf.stack([projected**2 / size, corner], axis=1)

    def part(point, pair):
        corner = point.gradient[:, 0, 1, 0] * point.image[:, 0, 1, 0]
        return tf.stack([(point.linear[:, 0] + tf.reduce_sum(pair, 1)) ** 2 / point.size, corner], axis=1)

    looking = Observer(
        part,
        2,
        focus=lambda fields, pair: (fields[:, :, 1:2, 1:3], [pair]),
        linear=lambda gradients, pair: tf.einsum("bkyxc,yxc->bk", gradients, a)[..., None],
    )
    settings = {"context": (pair,), "steps": 3}
    expected = gradient_flow(score, x, Observer(whole, 2), **settings)
    found = gradient_flow(score, x, looking, **settings)
    assert np.ptp(expected.arc_mean) > 0.1
    for mean in ("arc_mean", "score_mean"):
        np.testing.assert_allclose(getattr(found, mean), getattr(expected, mean), rtol=1e-10)


def test_every_status_has_a_sentence():
    assert len({status.sentence for status in FlowStatus}) == len(FlowStatus)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"observations": 0}])
def test_a_path_without_steps_or_observations_is_refused(images, settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))!r} parameter .* must be an int >= 1. Got 0"):
        gradient_flow(
            autodiff(lambda x: tf.reduce_sum(x, AXES)),
            images,
            observer=Observer(observe_constant, 1),
            **settings,
        )
