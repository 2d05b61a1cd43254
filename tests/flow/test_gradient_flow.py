"""Paths to the decision boundary, against flows known in closed form and in tiny steps."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import solve_ivp
from tiny_steps import autodiff, in_tiny_steps

from fgf_keras.errors import ConfigError
from fgf_keras.flow.chords import Chords, Observer
from fgf_keras.flow.gradient_flow import gradient_flow
from fgf_keras.flow.result import FAR
from fgf_keras.flow.settings import Flow
from fgf_keras.flow.status import FlowStatus
from fgf_keras.geometry.alignment import alignment_products, joint_alignment, pointwise_alignment

SHAPE = (4, 5, 1)
AXES = [1, 2, 3]


def observe_constant(point, *context):
    return tf.ones_like(point.image[:, 0, 0])


CONSTANT = Observer(observe_constant, 1)


def u(x):
    return x[:, 0, 0, 0]


def v(x):
    return x[:, 0, 1, 0]


def plane(*points):
    """Images of two pixels, u and v."""
    return tf.constant(np.reshape(points, (-1, 1, 2, 1)), tf.float64)


# The squared cosines of the path with u and with v.
COSINES = Observer(lambda point: tf.stack([u(point.direction) ** 2, v(point.direction) ** 2], axis=1), 2)


def test_a_path_is_not_accepted_while_its_error_is_unknown():
    # On a straight path of length 1 these points are seen by a passage of four steps, and by no finer one.
    def seen_by_four_steps(point):
        sixty_fourths = 64 * u(point.image) - 0.5
        first = tf.abs(sixty_fourths - tf.round(sixty_fourths)) < 1e-6
        return tf.where(first, tf.constant(np.nan, tf.float64), u(point.image))[:, tf.newaxis]

    path = gradient_flow(autodiff(u), plane((1.0, 0.0)), Observer(seen_by_four_steps, 1))
    assert path.status == FlowStatus.REACHED
    assert path.arc_mean.numpy() == pytest.approx(0.5)
    assert np.isfinite(path.arc_error).all()


def test_a_chord_without_length_adds_nothing():
    image, none = plane((1.0, 0.0), (1.0, 0.0)), tf.zeros([2], tf.float64)
    moved = tf.constant([True, True])
    chords = Chords.none(image, 1).extended(plane((0.5, 0.0), (0.0, 0.0)), none + 0.5, moved)
    length = tf.constant([0.5, 0.0], tf.float64)
    means = tf.constant([[0.25], [np.nan]], tf.float64)
    chords = chords.observed(moved, moved, means, length, length, tf.constant([1, 1]))
    np.testing.assert_array_equal(chords.arc_sum, [[0.125], [0.0]])
    np.testing.assert_array_equal(chords.length, length)


@pytest.fixture
def images(rng):
    return tf.constant(rng.normal(size=(6, *SHAPE)))


# --- paths known in closed form


@pytest.mark.parametrize("graph", [False, True])
def test_a_linear_score_has_straight_paths_of_known_length(rng, images, graph):
    a = tf.constant(rng.normal(size=SHAPE))
    g = tf.constant(rng.normal(size=(1, 2, *SHAPE)))
    score = autodiff(lambda x: tf.reduce_sum(a * x, AXES) + 0.3)

    def observe(point):
        direction = point.direction[:, None]
        products = alignment_products(direction, tf.repeat(g, tf.shape(direction)[0], axis=0))
        return pointwise_alignment(products)

    run = tf.function(lambda x: gradient_flow(score, x, Observer(observe, 2))) if graph else None
    flow = run(images) if graph else gradient_flow(score, images, Observer(observe, 2))
    norm = float(tf.norm(a))
    np.testing.assert_allclose(flow.length, np.abs(flow.score) / norm, rtol=1e-10)
    np.testing.assert_allclose(flow.residual, 0, atol=1e-12)
    np.testing.assert_allclose(
        flow.boundary, images - flow.score[:, None, None, None] * a / norm**2, atol=1e-12
    )
    cosine = tf.reduce_sum(a * g[0], AXES) / norm / tf.sqrt(tf.reduce_sum(g[0] ** 2, AXES))
    for mean in (flow.arc_mean, flow.score_mean):
        np.testing.assert_allclose(mean, np.tile(cosine**2, (6, 1)), rtol=1e-12)
    np.testing.assert_allclose(flow.arc_error, 0, atol=1e-12)
    np.testing.assert_array_equal(flow.status, FlowStatus.REACHED)
    # One at the sample, a passage of four steps and one of eight, and one at the end of each.
    np.testing.assert_array_equal(flow.evaluations, 15)


def test_a_radial_score_has_radial_paths_to_the_sphere(images):
    # z = |x|² - 1: paths run along x and end at x/|x|.
    flow = gradient_flow(autodiff(lambda x: tf.reduce_sum(x**2, AXES) - 1), images, CONSTANT)
    radius = tf.sqrt(tf.reduce_sum(images**2, AXES, keepdims=True))
    np.testing.assert_allclose(flow.boundary, images / radius, rtol=1e-5)
    np.testing.assert_allclose(flow.length, np.abs(radius[:, 0, 0, 0] - 1), rtol=1e-5)


def quadratic(rng, steps):
    """z = x₁² + 4x₂² - 3: along its gradient x₁ ∝ e^t, x₂ ∝ e^{4t}, so x₂ x₁⁻⁴ is constant."""
    x = tf.constant(rng.uniform(1, 2, size=(5, 1, 2, 1)))
    c = tf.constant([[[1.0], [4.0]]], tf.float64)
    score = autodiff(lambda x: tf.reduce_sum(c * x**2, AXES) - 3.0)
    settings = Flow(steps=steps, max_steps=2 * steps)
    flow = tf.function(lambda x: gradient_flow(score, x, CONSTANT, flow=settings), autograph=False)(x)
    end, start = flow.boundary.numpy()[:, 0, :, 0], x.numpy()[:, 0, :, 0]
    np.testing.assert_allclose(end[:, 0] ** 2 + 4 * end[:, 1] ** 2, 3, rtol=1e-6)
    return np.abs(end[:, 1] / end[:, 0] ** 4 / (start[:, 1] / start[:, 0] ** 4) - 1)


def test_the_end_of_the_path_converges_with_the_square_of_the_step():
    coarse, fine = (quadratic(np.random.default_rng(0), steps) for steps in (32, 64))
    assert np.all(fine < 2e-3)
    assert 3 < np.median(coarse / fine) < 5.5


def test_arc_and_score_means_weight_the_path_as_they_say(rng):
    # z = x² - ¼ in one pixel, from x₀ to ½: the arc mean of x is (x₀ + ½)/2; over the score z = z₀(1-τ) it is
    # ∫x dz / z₀ = ⅔ (x₀³ - ⅛) / (x₀² - ¼).
    x0 = rng.uniform(1, 3, size=(7, 1, 1, 1))
    flow = gradient_flow(
        autodiff(lambda x: tf.reduce_sum(x**2, AXES) - 0.25),
        tf.constant(x0),
        Observer(lambda point: point.image[:, 0, 0], 1),
        flow=Flow(steps=32),
    )
    x0 = x0[:, 0, 0, 0]
    np.testing.assert_allclose(flow.arc_mean[:, 0], (x0 + 0.5) / 2, rtol=1e-4)
    np.testing.assert_allclose(flow.score_mean[:, 0], (x0**3 - 1 / 8) / (x0**2 - 1 / 4) * 2 / 3, rtol=1e-4)


def bent(rng):
    """A score of 20 pixels whose gradient turns, two features that turn as well, and samples."""
    mix = tf.constant(rng.normal(size=(20, 20)) / 4)
    bend = tf.constant(rng.normal(size=(2, 20)))

    def z(x):
        hidden = tf.nn.elu(tf.reshape(x, [-1, 20]) @ mix)
        return tf.reduce_sum(hidden**2, axis=1) - 2.0

    def features(x):
        flat = tf.reshape(x, [-1, 1, 20])
        return tf.reshape(bend * tf.cos(flat * bend), [-1, 2, *SHAPE])

    return z, features, tf.constant(rng.normal(size=(6, *SHAPE)))


def joint_of(features):
    def observe(point):
        products = alignment_products(point.direction[:, None], features(point.image))
        return joint_alignment(products)[:, None]

    return Observer(observe, 1)


def test_the_score_weighted_joint_share_adds_up_to_the_change_of_score_along_the_features(rng):
    """Completeness: F_joint·(z₀ - z(1)) = ∫⟨P∇z, dx⟩, integrated here on its own with many small steps."""
    z, features, x = bent(rng)
    score = autodiff(z)
    joint = joint_of(features)
    run = tf.function(lambda x: gradient_flow(score, x, joint, flow=Flow(steps=32)), autograph=False)
    flow = run(x)
    score_of, features_of = (tf.function(f, autograph=False) for f in (score, features))
    z0, _ = score_of(x)
    along, steps = np.zeros(len(x)), 500
    for _ in range(steps):
        middle = x
        for fraction in (0.5, 1.0):
            _, g = score_of(middle)
            dx = -(z0 / tf.reduce_sum(g**2, AXES) / steps)[:, None, None, None] * g
            middle = x + fraction * dx
            if fraction == 0.5:
                continue
            span = np.linalg.qr(np.moveaxis(features_of(x + dx / 2).numpy().reshape(-1, 2, 20), 1, 2))[0]
            flat_g, flat_dx = g.numpy().reshape(-1, 20), dx.numpy().reshape(-1, 20)
            along += np.einsum("bi,bif,bjf,bj->b", flat_g, span, span, flat_dx)
        x = middle
    np.testing.assert_allclose(flow.score_mean[:, 0] * -z0, along, rtol=2e-3)


# --- how accurate F is, and what it costs


def dense(activation, sizes=(20, 64, 32, 1), seed=0):
    """A random dense network of float64, as a function of images."""
    rng = np.random.default_rng(seed)
    layers = [
        (tf.constant(rng.normal(size=(a, b)) * np.sqrt(2 / a)), tf.constant(0.1 * rng.normal(size=b)))
        for a, b in itertools.pairwise(sizes)
    ]

    def z(x, *context):
        del context
        x = tf.reshape(x, [-1, sizes[0]])
        for k, (kernel, bias) in enumerate(layers):
            x = x @ kernel + bias
            x = activation(x) if k + 1 < len(layers) else x
        return x[:, 0]

    return z


SHARES = Observer(lambda p, g: pointwise_alignment(alignment_products(p.direction[:, None], g)), 2)


def followed(z, x, fields, **settings):
    """The flow of samples, with S of two fixed fields."""
    run = tf.function(
        lambda x, g: gradient_flow(autodiff(z), x, SHARES, context=(g,), flow=Flow(**settings)),
        autograph=False,
    )
    return run(tf.constant(x), tf.constant(fields))


@pytest.fixture
def samples(rng):
    return rng.normal(size=(32, *SHAPE)), rng.normal(size=(32, 2, *SHAPE))


@pytest.fixture
def many_kinks(rng):
    """Samples of 100 pixels, whose paths through a network with kinks turn many times."""
    return rng.normal(size=(32, 10, 10, 1)), rng.normal(size=(32, 2, 10, 10, 1))


@pytest.mark.parametrize("activation", [tf.nn.elu, tf.tanh, tf.nn.gelu], ids=["elu", "tanh", "gelu"])
def test_on_smooth_networks_f_and_its_estimated_error_are_right_within_17_gradients(samples, activation):
    z = dense(activation)
    exact = {"steps": 256, "max_steps": 512, "tolerance": 1.0}
    flow, fine = (followed(z, *samples, **settings) for settings in ({}, exact))
    error = np.abs(flow.arc_mean - fine.arc_mean)
    np.testing.assert_array_equal(flow.status, FlowStatus.REACHED)
    assert np.median(flow.evaluations) <= 17
    assert np.median(error) < 5e-5
    assert np.all(error <= flow.arc_error + 1e-4)


def test_steps_are_halved_until_the_estimated_error_is_within_the_tolerance(samples):
    z = dense(tf.tanh)
    rough, exact = (followed(z, *samples, tolerance=t) for t in (5e-3, 1e-5))
    assert np.all(exact.status == FlowStatus.REACHED)
    assert np.all(exact.arc_error <= 1e-5)
    assert np.mean(exact.evaluations) > 1.5 * np.mean(rough.evaluations)
    short = followed(z, *samples, tolerance=1e-12, max_steps=8)
    assert np.all(short.status == FlowStatus.NOT_CONVERGED)
    # What is not accurate enough is no number; how far it is from that, and the path, are known.
    assert np.all(np.isnan(short.arc_mean))
    assert np.all(np.max(short.arc_error, axis=1) > 1e-12)
    assert np.all(short.length > 0)


def test_only_the_controlled_quantities_decide(rng):
    z, features, x = bent(rng)
    share = joint_of(features).observe

    def observe(point):
        return tf.concat([tf.ones_like(point.size)[:, None], share(point)], axis=1)

    flow = gradient_flow(
        autodiff(z), x, Observer(observe, 2, controlled=1), flow=Flow(tolerance=1e-6, max_steps=8)
    )
    assert np.all(flow.status == FlowStatus.REACHED)
    assert np.all(flow.arc_error[:, 1] > 1e-6)


# --- the score's own scale plays no part

SCALES = {
    "tanh": lambda z: 5 * tf.tanh(z / 5),
    "cube": lambda z: z**3 + z,
    "sinh": tf.sinh,
    "tiny": lambda z: 1e-9 * z,
    "root": lambda z: tf.sign(z) * (tf.sqrt(1 + tf.abs(z)) - 1),
}


@pytest.mark.parametrize("activation", [tf.tanh, tf.nn.relu], ids=["tanh", "relu"])
@pytest.mark.parametrize("scale", SCALES)
def test_an_increasing_function_of_the_score_changes_neither_f_nor_the_status(many_kinks, activation, scale):
    z = dense(activation, (100, 64, 32, 1))
    expected = followed(z, *many_kinks)
    found = followed(lambda x, *c: SCALES[scale](z(x)), *many_kinks)
    np.testing.assert_array_equal(expected.status, FlowStatus.REACHED)
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_allclose(found.arc_mean, expected.arc_mean, atol=3e-3)
    np.testing.assert_allclose(found.length, expected.length, rtol=1.5e-2)


def test_a_saturated_score_has_the_path_of_its_argument():
    # z = tanh(10u) from u = 0.5: the slope there is 5000 times less than at the boundary.
    flow = gradient_flow(
        autodiff(lambda x: tf.tanh(10 * u(x)) + 0 * v(x)), plane([0.5, 0], [0.5, 3]), COSINES
    )
    np.testing.assert_array_equal(flow.status, FlowStatus.REACHED)
    np.testing.assert_allclose(flow.length, 0.5, rtol=1e-6)
    np.testing.assert_allclose(flow.arc_mean, [[1, 0], [1, 0]], atol=1e-9)


def test_the_boundary_is_told_by_its_distance_and_not_by_the_score():
    score = autodiff(lambda x: 1e-7 * (u(x) + 0.3 * v(x) ** 2 - 0.2))
    flow = gradient_flow(score, plane([0.8, 1.0], [0.2 - 1e-8, 0.0]), COSINES)
    np.testing.assert_array_equal(flow.status, [FlowStatus.REACHED, FlowStatus.ON_BOUNDARY])


# --- kinks


def three_kinks(x):
    return 3 * tf.nn.relu(u(x) - 0.5) + 2 * tf.nn.relu(v(x) - 0.2) + 0.1 * u(x) + 0.1 * v(x) - 0.05


def test_a_path_through_kinks_is_the_one_by_hand():
    # From (0.6, 1.5) along (3.1, 2.1) to u = 0.5, along (0.1, 2.1) to v = 0.2, along (0.1, 0.1) to z = 0.
    legs = np.array([0.1 * np.hypot(3.1, 2.1) / 3.1, 0, 0])
    middle = 1.5 - 0.1 * 2.1 / 3.1 - 0.2
    legs[1] = middle * np.hypot(0.1, 2.1) / 2.1
    rest = 0.1 * (0.5 - middle * 0.1 / 2.1) + 0.1 * 0.2 - 0.05
    legs[2] = rest / np.hypot(0.1, 0.1)
    cosines = np.array([3.1**2 / (3.1**2 + 2.1**2), 0.1**2 / (0.1**2 + 2.1**2), 0.5])
    drops = legs * np.hypot([3.1, 0.1, 0.1], [2.1, 2.1, 0.1])
    flow = gradient_flow(autodiff(three_kinks), plane([0.6, 1.5]), COSINES)
    assert flow.status[0] == FlowStatus.REACHED
    np.testing.assert_allclose(flow.length[0], legs.sum(), rtol=1e-9)
    assert float(flow.length[0]) == pytest.approx(1.4544, abs=1e-4)
    np.testing.assert_allclose(flow.arc_mean[0, 0], (legs * cosines).sum() / legs.sum(), rtol=1e-9)
    assert float(flow.arc_mean[0, 0]) == pytest.approx(0.0932, abs=1e-4)
    np.testing.assert_allclose(flow.score_mean[0, 0], (drops * cosines).sum() / drops.sum(), rtol=1e-9)


@pytest.mark.parametrize("slope", [0.3, 0.5, 0.8])
def test_a_path_slides_along_a_kink_that_both_sides_lead_back_to(slope):
    # z = |u - 0.3| + slope·v from (0.8, 1): to u = 0.3 along (1, slope), and on along v.
    score = autodiff(lambda x: tf.abs(u(x) - 0.3) + slope * v(x))
    flow = gradient_flow(score, plane([0.8, 1.0]), COSINES)
    way = 0.5 * np.hypot(1, slope)
    rest = 1 - 0.5 * slope
    assert flow.status[0] == FlowStatus.REACHED
    np.testing.assert_allclose(flow.length[0], way + rest, rtol=1.5e-2)
    np.testing.assert_allclose(flow.arc_mean[0, 0], way / (1 + slope**2) / (way + rest), atol=5e-3)
    # Completeness: the part of the score's change that moves along u.
    np.testing.assert_allclose(flow.score_mean[0, 0], 0.5 / (0.5 + slope), atol=2e-3)


def test_sliding_is_the_limit_of_smooth_scores():
    # |t| as the limit of √(t² + ε²), whose path an ordinary solver follows: F converges to that of the kink.
    kink = gradient_flow(autodiff(lambda x: tf.abs(u(x) - 0.3) + 0.5 * v(x)), plane([0.8, 1.0]), COSINES)

    def f_of_smooth(width):
        def speed(_, state):
            bent = state[0] - 0.3
            gradient = np.array([bent / np.hypot(bent, width), 0.5])
            direction = gradient / np.hypot(*gradient)
            return [*-direction, direction[0] ** 2]

        def boundary(_, state):
            return np.hypot(state[0] - 0.3, width) + 0.5 * state[1]

        boundary.terminal = True
        path = solve_ivp(speed, (0, 5), [0.8, 1.0, 0.0], "LSODA", events=boundary, rtol=1e-8, atol=1e-10)
        return path.y[2, -1] / path.t[-1]

    distance = [abs(f_of_smooth(width) - float(kink.arc_mean[0, 0])) for width in (0.1, 0.001)]
    assert distance[1] < 5e-3 < distance[0]


KINKED = {"relu": tf.nn.relu, "leaky relu": tf.nn.leaky_relu, "abs": tf.abs}


@pytest.mark.parametrize("name", KINKED)
def test_networks_with_kinks_have_the_f_of_tiny_steps(many_kinks, name):
    x, fields = many_kinks
    z = dense(KINKED[name], (100, 64, 32, 1))
    flow = followed(z, x, fields)
    np.testing.assert_array_equal(flow.status, FlowStatus.REACHED)
    _, shares, length = in_tiny_steps(z, x, fields, flow.length.numpy(), steps=4000, block=40, most=10)
    np.testing.assert_allclose(flow.arc_mean, shares, atol=5e-3)
    np.testing.assert_allclose(flow.length, length, rtol=2e-2)
    assert np.median(flow.evaluations) <= 45


# --- how paths end


def test_a_vanishing_gradient_is_stationary_and_its_means_are_undefined(images):
    zero = tf.reshape(tf.constant([0.0, 1, 1, 1, 1, 1], tf.float64), [6, 1, 1, 1])
    flow = gradient_flow(
        autodiff(lambda x, s: tf.reduce_sum(s * x, AXES) + 1.0), images, CONSTANT, context=(zero,)
    )
    np.testing.assert_array_equal(flow.status, [FlowStatus.STATIONARY] + [FlowStatus.REACHED] * 5)
    assert np.isnan(flow.arc_mean[0, 0])
    assert np.isnan(flow.score_mean[0, 0])
    assert np.isnan(flow.length[0])
    np.testing.assert_allclose(flow.arc_mean[1:], 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "status"),
    [
        (lambda x: u(x) ** 2 + v(x) ** 2 + 1, FlowStatus.STATIONARY),
        (lambda x: tf.abs(u(x)) + tf.abs(v(x)) + 1, FlowStatus.STATIONARY),
        (lambda x: tf.nn.relu(u(x) - 0.5) + 1 + 0 * v(x), FlowStatus.STATIONARY),
        (lambda x: tf.exp(u(x)) + 0 * v(x), FlowStatus.NOT_REACHED),
    ],
    ids=["bowl", "valley", "plateau", "slope without end"],
)
def test_a_score_without_a_zero_is_not_reached_and_its_means_are_undefined(function, status):
    flow = gradient_flow(autodiff(function), plane([0.8, 1.0]), COSINES)
    assert flow.status[0] == status
    for value in (flow.arc_mean, flow.score_mean, flow.arc_error, flow.length):
        assert np.all(np.isnan(value))
    assert flow.evaluations[0] < 600


def test_a_score_that_is_no_number_is_an_overflow_and_no_zero():
    score = autodiff(lambda x: tf.math.log(u(x) - 0.5) + 3 + tf.exp(1000 * (v(x) - 2.0)))
    flow = gradient_flow(score, plane([0.8, 1.0], [0.4, 1.0], [0.8, 3.0]), COSINES)
    np.testing.assert_array_equal(flow.status, [FlowStatus.REACHED, FlowStatus.OVERFLOW, FlowStatus.OVERFLOW])
    assert np.all(np.isnan(flow.arc_mean[1:]))


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_gradients_whose_squares_leave_the_range_of_numbers_have_the_same_path(size):
    def z(x):
        return u(x) + 0.3 * v(x) ** 2 - 0.2

    x = plane([0.8, 1.0], [0.1, 0.3])
    expected, found = (gradient_flow(autodiff(lambda x, s=s: s * z(x)), x, COSINES) for s in (1.0, size))
    np.testing.assert_array_equal(found.status, FlowStatus.REACHED)
    np.testing.assert_allclose(found.arc_mean, expected.arc_mean, rtol=1e-9)


def test_a_sample_on_the_boundary_stays_there_with_the_alignment_it_has(rng):
    a = tf.constant(rng.normal(size=SHAPE))
    x = rng.normal(size=(1, *SHAPE))
    x -= (x * a).numpy().sum() * a.numpy() / (a.numpy() ** 2).sum()
    flow = gradient_flow(
        autodiff(lambda x: tf.reduce_sum(a * x, AXES)),
        tf.constant(x),
        Observer(lambda point: point.direction[:, :1, 0, 0] ** 2, 1),
    )
    assert flow.status[0] == FlowStatus.ON_BOUNDARY
    assert flow.length[0] < 1e-9
    assert flow.residual[0] == 0
    np.testing.assert_allclose(flow.arc_mean[0], a[:1, 0, 0] ** 2 / tf.norm(a) ** 2, rtol=1e-9)
    np.testing.assert_array_equal(flow.arc_error[0], 0)


def test_a_path_far_longer_than_the_image_is_flagged():
    score = autodiff(lambda x: u(x) - 3 + 0 * v(x))
    flow = gradient_flow(score, plane([1.0, 0.0], [0.5, 2.5]), COSINES)
    np.testing.assert_allclose(flow.length, [2, 2.5])
    assert FAR == 2
    flow = gradient_flow(score, plane([0.9, 0.0], [0.5, 2.5]), COSINES)
    np.testing.assert_array_equal(flow.far, [True, False])


def test_every_status_has_a_sentence():
    assert len({status.sentence for status in FlowStatus}) == len(FlowStatus)


# --- batches and graphs


def mixed(rng):
    """Paths that need different passages, one without direction, one at its end."""
    x = rng.normal(size=(8, *SHAPE))
    x[7] = 0
    scale = tf.constant([0.1] * 3 + [1.4] * 3 + [0.0, 0.5], tf.float64)
    end = tf.constant([21.0] * 7 + [20.0], tf.float64)
    score = autodiff(lambda x, s, end: tf.reduce_sum(tf.exp(s[:, None, None, None] * x), AXES) - end)
    return score, tf.constant(x), (scale, end)


def test_a_sample_has_the_path_in_a_batch_that_it_has_alone(rng):
    score, x, context = mixed(rng)
    observer = Observer(lambda point, *_: point.image[:, 1, 2], 1)
    together = gradient_flow(score, x, observer, context=context)
    for k in (0, 4):
        alone = gradient_flow(score, x[k : k + 1], observer, context=[c[k : k + 1] for c in context])
        for name in ("boundary", "arc_mean", "score_mean", "length", "status", "evaluations"):
            np.testing.assert_allclose(getattr(alone, name)[0], getattr(together, name)[k], rtol=1e-9)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_compiled_flow_has_the_paths_and_means_of_another(rng, steps):
    score, x, context = mixed(rng)
    observer = Observer(lambda point, *_: tf.stack([point.size, point.image[:, 1, 2, 0]], axis=1), 2)

    def flow(compiled):
        def run(x, *context):
            settings = {"flow": Flow(steps=steps, max_steps=64, tolerance=1e-5)}
            return gradient_flow(
                score, x, observer, context=context, compiled=compiled, directions=True, **settings
            )._asdict()

        return tf.function(run, jit_compile=compiled, autograph=False)(x, *context)

    expected, found = flow(False), flow(True)
    assert {FlowStatus.REACHED, FlowStatus.STATIONARY} <= set(expected["status"].numpy())
    assert len(set(expected["evaluations"].numpy())) > 1
    for each in (expected, found):
        # Fields of one mean of d dᵀ may have other signs.
        flat = tf.reshape(each["directions"], [8, -1, 20])
        each["directions"] = tf.matmul(flat, flat, transpose_a=True)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-9, err_msg=name)


def test_what_is_looked_at_in_part_and_known_to_be_linear_is_the_same(rng):
    bend, a = tf.constant(rng.normal(size=SHAPE)), tf.constant(rng.normal(size=SHAPE))
    x, pair = tf.constant(rng.normal(size=(3, *SHAPE))), tf.constant(rng.normal(size=(3, 2)))
    score = autodiff(lambda x, pair: tf.reduce_sum(tf.exp(bend * x), AXES) - 9 + 0 * pair[:, 0])

    def whole(point, pair):
        projected = tf.reduce_sum(a * point.direction, AXES) + tf.reduce_sum(pair, 1)
        corner = point.direction[:, 1, 2, 0] * point.image[:, 1, 2, 0]
        size = tf.reduce_sum(point.direction**2, AXES)
        return tf.stack([projected**2 / size, corner], axis=1)

    def part(point, pair):
        corner = point.direction[:, 0, 1, 0] * point.image[:, 0, 1, 0]
        return tf.stack([(point.linear[:, 0] + tf.reduce_sum(pair, 1)) ** 2 / point.size, corner], axis=1)

    looking = Observer(
        part,
        2,
        focus=lambda fields, pair: (fields[:, :, 1:2, 1:3], [pair]),
        linear=lambda directions, pair: tf.einsum("bkyxc,yxc->bk", directions, a)[..., None],
    )
    settings = {"context": (pair,), "flow": Flow(tolerance=1.0)}
    expected = gradient_flow(score, x, Observer(whole, 2), **settings)
    found = gradient_flow(score, x, looking, **settings)
    assert np.ptp(expected.arc_mean) > 0.1
    for mean in ("arc_mean", "score_mean"):
        np.testing.assert_allclose(getattr(found, mean), getattr(expected, mean), rtol=1e-10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, r"steps must be at least 1\. Received: 0"),
        ({"steps": 5, "max_steps": 9}, r"max_steps must be at least twice steps \(5\)\. Received: 9"),
        ({"average": "length"}, "average must be one of arc, score"),
        ({"tolerance": float("nan")}, "tolerance must be a number > 0"),
    ],
)
def test_settings_with_which_no_path_can_be_followed_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Flow(**settings)
