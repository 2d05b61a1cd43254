"""Shapes of volumes against NumPy, an independent autodiff, finite differences, and those of images."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.features import Brightness, Elongation, Extent, Flatness, LinearNoise, LogAspectRatio
from fgf_keras.features.base import Feature

SHAPE = (6, 7, 8)
SPACING = (2.5, 0.8, 1.1)
FEATURES = [Brightness(), Extent(), LogAspectRatio(), Elongation(), Flatness()]
SHAPES = FEATURES[2:]


def mask_of(kind, shape=SHAPE):
    z, y, x = np.indices(shape) - np.reshape(shape, (3, 1, 1, 1)) // 2
    masks = {
        "oblique": (x + 0.5 * y) ** 2 / 12 + (y - 0.5 * x + z) ** 2 / 6 + z**2 / 5 <= 1,
        "corner": (x <= -2) & (y <= -2) & (z >= 0),
        "two parts": (abs(x) >= 2) & (abs(y) <= 1) & (abs(z) <= 1),
        "cube": (abs(x) <= 2) & (abs(y) <= 2) & (abs(z) <= 2),
        "sphere": x**2 + y**2 + z**2 <= 5,
        "rod": (abs(x) <= 1) & (abs(y) <= 1),
        "slice": (z == 1) & (abs(x) <= 2) & (y >= -1),
        "line": (z == 0) & (y == 1),
        "diagonal": (x == y) & (y == z),
        "one voxel": (x == 1) & (y == -2) & (z == 2),
        "two voxels": (x == 1) & (y == -2) & (z >= 1),
        "empty": x > 99,
    }
    return masks[kind].astype(float)[None, ..., None]


KINDS = ["oblique", "corner", "two parts", "cube", "sphere", "rod", "slice", "line", "diagonal"]
KINDS += ["one voxel", "two voxels", "empty"]


def sample(kind, rng, channels=1):
    mask = mask_of(kind)
    return tf.constant(rng.uniform(0.2, 1, (*mask.shape[:-1], channels))), tf.constant(mask)


def finite_differences(feature, image, mask, spacing, step=1e-6):
    flat = image.numpy().ravel()
    shifts = np.concatenate([np.eye(flat.size), -np.eye(flat.size)]) * step
    images = tf.constant((flat + shifts).reshape(-1, *image.shape[1:]))
    values = feature.value(images, tf.repeat(mask, len(shifts), axis=0), spacing).numpy()
    return ((values[: flat.size] - values[flat.size :]) / (2 * step)).reshape(image.shape)


def eigenvalues(image, mask, spacing):
    """λ₁ ≥ λ₂ ≥ λ₃ from a list of voxels and TensorFlow's own derivative of the solver."""
    places = np.argwhere(mask.numpy()[0, ..., 0]) * np.array(spacing)
    w = tf.boolean_mask(tf.reduce_mean(image, -1), mask[..., 0] > 0)
    offsets = places - tf.linalg.matvec(places, w, transpose_a=True) / tf.reduce_sum(w)
    covariance = tf.matmul(offsets * w[:, None], offsets, transpose_a=True) / tf.reduce_sum(w)
    return tf.linalg.eigvalsh(covariance)[::-1]


def test_values_are_those_of_numpy(rng):
    image, mask = sample("oblique", rng)
    w = (image * mask).numpy()[0, ..., 0]
    places = np.indices(SHAPE).reshape(3, -1) * np.reshape(SPACING, (3, 1))
    least, minor, major = np.linalg.eigvalsh(np.cov(places, aweights=w.ravel(), bias=True))
    expected = {
        "brightness": w.sum() / mask.numpy().sum(),
        "extent": np.sqrt(major + minor + least),
        "log_aspect_ratio": 0.5 * np.log(major / minor),
        "elongation": np.sqrt(minor / major),
        "flatness": np.sqrt(least / major),
    }
    for feature in FEATURES:
        assert float(feature.value(image, mask, SPACING)[0]) == pytest.approx(
            expected[feature.name], rel=1e-12
        )


@pytest.mark.parametrize("kind", ["oblique", "corner", "two parts"])
def test_gradients_are_those_of_an_independent_autodiff(kind, rng):
    image, mask = sample(kind, rng, channels=2)
    functions = {
        "extent": lambda e: tf.sqrt(tf.reduce_sum(e)),
        "log_aspect_ratio": lambda e: 0.5 * tf.math.log(e[0] / e[1]),
        "elongation": lambda e: tf.sqrt(e[1] / e[0]),
        "flatness": lambda e: tf.sqrt(e[2] / e[0]),
    }
    for feature in FEATURES[1:]:
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = functions[feature.name](eigenvalues(image, mask, SPACING))
        expected = tape.gradient(value, image).numpy()
        gradient = feature.gradient(image, mask, SPACING)
        np.testing.assert_allclose(gradient, expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_gradients_are_those_of_autodiff_and_of_finite_differences(feature, kind, rng):
    image, mask = sample(kind, rng)
    gradient = feature.gradient(image, mask, SPACING).numpy()
    scale = np.abs(gradient).max() + 1e-6
    np.testing.assert_allclose(Feature.gradient(feature, image, mask, SPACING), gradient, atol=1e-9 * scale)
    differences = finite_differences(feature, image, mask, SPACING)
    np.testing.assert_allclose(differences, gradient, atol=1e-5 * max(scale, 1e-3))


@pytest.mark.parametrize("shift", [0.5, 0.55, 0.65, 0.9])
@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_intensities_below_zero_have_the_gradient_of_their_value_too(feature, shift, rng):
    image, mask = sample("oblique", rng)
    image -= shift
    gradient = feature.gradient(image, mask).numpy()
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(finite_differences(feature, image, mask, None), gradient, atol=1e-4 * scale)
    assert not feature.is_defined(image - 1, mask)[0] or feature.name == "brightness"


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("jit", [False, True], ids=["graph", "compiled"])
def test_all_tumours_have_finite_values_and_gradients(dtype, jit):
    masks = np.concatenate([mask_of(kind) for kind in KINDS])
    images = tf.constant(np.concatenate([level + 0 * masks for level in (0.7, 0, -1)]), dtype)
    masks = tf.constant(np.concatenate([masks] * 3), dtype)
    run = tf.function(
        lambda x: [(f.value(x, masks), f.gradient(x, masks)) for f in FEATURES], jit_compile=jit
    )
    for feature, (value, gradient) in zip(FEATURES, run(images)):
        assert np.isfinite(value).all()
        assert np.isfinite(gradient).all()
        assert value.dtype == gradient.dtype == dtype
        np.testing.assert_allclose(value, feature.value(images, masks), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("kind", ["cube", "sphere"])
@pytest.mark.parametrize("feature", SHAPES, ids=lambda f: f.name)
def test_equal_axes_have_a_ratio_of_1_and_no_gradient(feature, kind, dtype):
    mask = tf.constant(mask_of(kind, (9, 9, 9)), dtype)
    image, spacing = 0.3 * tf.ones_like(mask), (0.7, 0.7, 0.7)
    assert float(feature.value(image, mask, spacing)[0]) == (0 if feature.name == "log_aspect_ratio" else 1)
    np.testing.assert_array_equal(feature.gradient(image, mask, spacing), 0)


def test_an_axis_is_as_long_as_that_of_a_voxel():
    line = tf.constant(mask_of("line"))
    expected = np.sqrt(1 / 12 / np.var(np.arange(SHAPE[2])))
    assert float(Elongation().value(line, line)[0]) == pytest.approx(expected, rel=1e-12)
    assert float(Flatness().value(line, line)[0]) == pytest.approx(expected, rel=1e-12)
    voxel = tf.constant(mask_of("one voxel"))
    assert float(Flatness().value(voxel, voxel, SPACING)[0]) == 1


def test_numbers_that_are_not_finite_stay_so_and_raise_nothing(rng):
    image, mask = sample("oblique", rng)
    for feature in FEATURES:
        assert np.isnan(feature.value(image * np.nan, mask)[0])
        assert not np.isfinite(feature.gradient(image * np.inf, mask)).all() or feature.name == "brightness"
    assert not Flatness().is_defined(image * np.nan, mask)[0]


def test_each_sample_has_its_own_value_and_gradient(rng):
    samples = [sample(kind, rng) for kind in ("oblique", "line", "corner")]
    spacing = np.array([[1.0, 1.0, 1.0], [2.0, 0.5, 0.7], [0.7, 0.7, 2.0]])
    image, mask = (tf.concat([s[k] for s in samples], axis=0) for k in (0, 1))
    for feature in [*FEATURES, LinearNoise(3)]:
        together = feature.gradient(image, mask, spacing)
        for k, (one, its_mask) in enumerate(samples):
            alone = feature.gradient(one, its_mask, spacing[k])[0]
            np.testing.assert_allclose(together[k], alone, atol=1e-12)


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 0, 2), (2, 1, 0)])
def test_the_order_of_the_axes_does_not_matter(order, rng):
    image, mask = sample("oblique", rng)
    axes = [0, *(k + 1 for k in order), 4]
    turned, its_mask = tf.transpose(image, axes), tf.transpose(mask, axes)
    spacing = [SPACING[k] for k in order]
    for feature in FEATURES:
        value, gradient = feature.value(image, mask, SPACING), feature.gradient(image, mask, SPACING)
        np.testing.assert_allclose(feature.value(turned, its_mask, spacing), value, rtol=1e-12)
        np.testing.assert_allclose(
            feature.gradient(turned, its_mask, spacing), tf.transpose(gradient, axes), atol=1e-12
        )


def test_the_unit_of_the_spacing_scales_extent_alone(rng):
    image, mask = sample("oblique", rng)
    for feature in FEATURES:
        factor = 3.0 if feature.name == "extent" else 1.0
        value = feature.value(image, mask, SPACING)
        np.testing.assert_allclose(
            feature.value(image, mask, 3 * np.array(SPACING)), factor * value, rtol=1e-12
        )
        moved = feature.value(tf.roll(image, 1, 2), tf.roll(mask, 1, 2), SPACING)
        if not mask[:, :, -1].numpy().any():
            np.testing.assert_allclose(moved, value, rtol=1e-12)


def test_voxels_cut_into_thinner_slices_have_the_same_axes_within_the_plane(rng):
    """Each slice twice at half the distance: only the variance along z loses that of a voxel."""
    mask = mask_of("rod", (10, 7, 8))
    mask[:, :2] = mask[:, -2:] = 0
    image = tf.constant(mask * rng.uniform(0.5, 1, (1, 1, 7, 8, 1)))
    twice, spacing = tf.repeat(image, 2, axis=1), np.array(SPACING)
    before = Extent().value(image, tf.constant(mask), spacing) ** 2
    after = Extent().value(twice, tf.repeat(tf.constant(mask), 2, axis=1), spacing / [2, 1, 1]) ** 2
    np.testing.assert_allclose(after - before, SPACING[0] ** 2 / 16, rtol=1e-9)


def test_one_slice_has_the_values_and_gradients_of_the_image(rng):
    """All but flatness, which images do not have; a slice distance above that of pixels changes nothing."""
    image, mask = (t[:, 3] for t in sample("oblique", rng))
    for feature in FEATURES[:4]:
        flat, deep = (
            feature.value(image, mask, SPACING[1:]),
            feature.value(image[:, None], mask[:, None], SPACING),
        )
        np.testing.assert_allclose(deep, flat, rtol=1e-12)
        flat = feature.gradient(image, mask, SPACING[1:])
        deep = feature.gradient(image[:, None], mask[:, None], SPACING)[:, 0]
        np.testing.assert_allclose(deep, flat, atol=1e-12 * np.abs(flat).max())


def test_a_stack_of_equal_slices_has_the_axes_of_one_and_the_variance_of_its_height(rng):
    """C of the stack is that of a slice beside dz²(n² - 1)/12; here the height is the shortest axis."""
    count, dz = 3, 0.6
    inside = mask_of("two parts")[:, 3]
    image = tf.constant(rng.uniform(0.2, 1, inside.shape))
    mask = tf.constant(inside)
    images, masks = (tf.repeat(t[:, None], count, axis=1) for t in (image, mask))
    spacing, height = (dz, 0.9, 1.1), dz**2 * (count**2 - 1) / 12
    for feature in (Brightness(), LogAspectRatio(), Elongation()):
        value, gradient = feature.value(image, mask, spacing[1:]), feature.gradient(image, mask, spacing[1:])
        np.testing.assert_allclose(feature.value(images, masks, spacing), value, rtol=1e-12)
        for k in range(count):
            np.testing.assert_allclose(
                feature.gradient(images, masks, spacing)[:, k], gradient / count, atol=1e-13
            )
    flat = Extent().value(image, mask, spacing[1:])
    np.testing.assert_allclose(Extent().value(images, masks, spacing), np.sqrt(flat**2 + height), rtol=1e-12)
    major = flat**2 / (1 + Elongation().value(image, mask, spacing[1:]) ** 2)
    np.testing.assert_allclose(Flatness().value(images, masks, spacing), np.sqrt(height / major), rtol=1e-12)


def test_float32_is_close_to_float64_for_a_small_tumour_far_from_the_centre(rng):
    mask = np.zeros((1, 64, 160, 160, 1))
    mask[:, 58:63, 148:157, 2:9] = 1
    image = rng.uniform(0.2, 1, mask.shape)
    for feature in FEATURES:
        exact = [f(tf.constant(image), tf.constant(mask), SPACING) for f in (feature.value, feature.gradient)]
        single = [f(np.float32(image), np.float32(mask), SPACING) for f in (feature.value, feature.gradient)]
        np.testing.assert_allclose(single[0], exact[0], rtol=1e-6)
        np.testing.assert_allclose(single[1], exact[1], atol=3e-6 * np.abs(exact[1]).max())
