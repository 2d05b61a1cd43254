"""Every feature against autodiff and finite differences in float64, on every kind of tumour."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import fgf_keras
from fgf_keras.errors import FeatureError
from fgf_keras.features import CoreContrast
from fgf_keras.features.base import Feature, stack_gradients, unique_names
from fgf_keras.features.moments import image_moments, weights

SIZE = 15


@keras.saving.register_keras_serializable(package="tests")
def contrast(image, mask):
    inside = tf.reduce_sum(mask, [1, 2, 3])
    mean = tf.reduce_sum(image * mask, [1, 2, 3]) / inside
    return tf.reduce_sum(mask * (image - mean[:, None, None, None]) ** 2, [1, 2, 3]) / inside


FEATURES = [
    fgf_keras.Brightness(),
    fgf_keras.Extent(),
    fgf_keras.LogAspectRatio(),
    fgf_keras.LinearNoise(seed=3),
    CoreContrast(radius=0.6),
    fgf_keras.AutodiffFeature(contrast),
]
CLOSED_FORM = FEATURES[:5]


def tumour(kind):
    """Mask of a kind (SIZE, SIZE); intensities are random inside unless the kind says otherwise."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    masks = {
        "oblique": (x + 0.5 * y) ** 2 / 30 + (y - 0.5 * x) ** 2 / 9 <= 1,
        "round": x**2 + y**2 <= 20,
        "line": (y == 0) & (abs(x) <= 4),
        "column": (x == 2) & (abs(y) <= 3),
        "diagonal": (x == y) & (abs(x) <= 3),
        "one pixel": (x == 1) & (y == -2),
        "two pixels": (y == 0) & ((x == 0) | (x == 1)),
        "corner": (x <= -4) & (y <= -5),
        "edge": (x >= 3) & (abs(y) <= 4),
        "two parts": (abs(x) >= 4) & (abs(y) <= 2),
        "whole canvas": x == x,
    }
    return masks[kind].astype(float)


KINDS = ["oblique", "round", "line", "column", "diagonal", "one pixel", "two pixels", "corner", "edge"]
KINDS += ["two parts", "whole canvas"]


def sample(kind, rng, channels=1, even=False):
    mask = tumour(kind)[None, ..., None]
    image = (
        np.full((1, SIZE, SIZE, channels), 0.7) if even else rng.uniform(0.2, 1, (1, SIZE, SIZE, channels))
    )
    return tf.constant(image), tf.constant(mask)


def finite_differences(feature, image, mask, spacing, step=1e-6):
    flat = image.numpy().ravel()
    shifts = np.concatenate([np.eye(flat.size), -np.eye(flat.size)]) * step
    images = tf.constant((flat + shifts).reshape(-1, *image.shape[1:]))
    values = feature.value(images, tf.repeat(mask, len(shifts), axis=0), spacing).numpy()
    return ((values[: flat.size] - values[flat.size :]) / (2 * step)).reshape(image.shape)


@pytest.mark.parametrize("spacing", [None, (2.0, 0.7)], ids=["square", "oblong pixels"])
@pytest.mark.parametrize("even", [False, True], ids=["textured", "even"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_the_gradient_is_that_of_autodiff_and_of_finite_differences(feature, kind, even, spacing, rng):
    image, mask = sample(kind, rng, even=even)
    gradient = feature.gradient(image, mask, spacing).numpy()
    assert np.all(np.isfinite(gradient))
    scale = np.abs(gradient).max() + 1e-6
    np.testing.assert_allclose(Feature.gradient(feature, image, mask, spacing), gradient, atol=1e-9 * scale)
    np.testing.assert_allclose(
        finite_differences(feature, image, mask, spacing), gradient, atol=1e-5 * max(scale, 1e-3)
    )


@pytest.mark.parametrize("shift", [0.5, 0.55, 0.65, 0.9])
@pytest.mark.parametrize("feature", CLOSED_FORM, ids=lambda f: f.name)
def test_intensities_below_zero_have_the_gradient_of_their_value_too(feature, shift, rng):
    image, mask = sample("oblique", rng)
    image -= shift
    gradient = feature.gradient(image, mask).numpy()
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(Feature.gradient(feature, image, mask), gradient, atol=1e-9 * scale)
    np.testing.assert_allclose(finite_differences(feature, image, mask, None), gradient, atol=1e-4 * scale)


@pytest.mark.parametrize("feature", CLOSED_FORM, ids=lambda f: f.name)
def test_alignment_changes_smoothly_where_intensities_sum_to_zero_and_variances_become_negative(feature, rng):
    image, mask = sample("oblique", rng)
    total, pixels = (float(tf.reduce_sum(t)) for t in (image * mask, mask))
    # The sum goes from a third of what it is to minus that, and never is zero.
    sums = np.linspace(total / 3, -total / 3, 4000)
    shifted = image + (sums[:, None, None, None] - total) / pixels
    mask = tf.repeat(mask, len(sums), axis=0)
    moments = image_moments(weights(shifted, mask))
    assert np.min(moments.trace) < 0 < np.max(moments.trace)
    fields = feature.gradient(shifted, mask).numpy().reshape(len(sums), -1)
    other = rng.normal(size=fields.shape[1]) * mask[0].numpy().ravel()
    share = (fields @ other) ** 2 / (fields**2).sum(1) / (other @ other)
    assert np.abs(np.diff(share)).max() < 0.02


@pytest.mark.parametrize("feature", CLOSED_FORM, ids=lambda f: f.name)
def test_channels_are_averaged(feature, rng):
    image, mask = sample("oblique", rng, channels=3)
    np.testing.assert_allclose(
        feature.gradient(image, mask), Feature.gradient(feature, image, mask), atol=1e-12
    )


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("content", ["nothing inside", "negative inside", "empty mask"])
@pytest.mark.parametrize("feature", CLOSED_FORM, ids=lambda f: f.name)
def test_intensities_without_a_centre_give_finite_values_and_gradients(feature, content, dtype, rng):
    image, mask = sample("oblique", rng)
    image = {"nothing inside": 0 * image, "negative inside": -image, "empty mask": image}[content]
    mask = 0 * mask if content == "empty mask" else mask
    image, mask = tf.cast(image, dtype), tf.cast(mask, dtype)
    assert np.all(np.isfinite(feature.value(image, mask)))
    assert np.all(np.isfinite(feature.gradient(image, mask)))


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_each_sample_has_its_own_value_and_gradient(feature, rng):
    samples = [sample(kind, rng) for kind in ("oblique", "line", "corner")]
    spacing = np.array([[1.0, 1.0], [2.0, 0.5], [0.7, 0.7]])
    image, mask = (tf.concat([s[k] for s in samples], axis=0) for k in (0, 1))
    together = feature.gradient(image, mask, spacing)
    for k, (one, its_mask) in enumerate(samples):
        np.testing.assert_allclose(together[k], feature.gradient(one, its_mask, spacing[k])[0], atol=1e-12)


def test_values_are_those_of_numpy_moments_in_mm(rng):
    image, mask = sample("oblique", rng)
    w = (image * mask).numpy()[0, ..., 0]
    y, x = np.mgrid[:SIZE, :SIZE] * np.array([2.0, 0.7])[:, None, None]
    covariance = np.cov(np.stack([y.ravel(), x.ravel()]), aweights=w.ravel(), bias=True)
    minor, major = np.linalg.eigvalsh(covariance)
    expected = {
        "brightness": w.sum() / mask.numpy().sum(),
        "extent": np.sqrt(major + minor),
        "log_aspect_ratio": 0.5 * np.log(major / minor),
    }
    for feature in FEATURES[:3]:
        np.testing.assert_allclose(
            feature.value(image, mask, (2.0, 0.7))[0], expected[feature.name], rtol=1e-10
        )


def test_a_round_tumour_has_no_aspect_ratio_and_a_gradient_of_zero(rng):
    for dtype in (tf.float32, tf.float64):
        image, mask = (tf.cast(t, dtype) for t in sample("round", rng, even=True))
        assert fgf_keras.LogAspectRatio().value(image, mask)[0] == 0
        np.testing.assert_array_equal(fgf_keras.LogAspectRatio().gradient(image, mask), 0)


def test_a_line_is_as_wide_as_a_pixel(rng):
    image, mask = sample("line", rng, even=True)
    variance = np.var(np.arange(-4, 5))
    expected = 0.5 * np.log(variance / (1 / 12))
    np.testing.assert_allclose(fgf_keras.LogAspectRatio().value(image, mask)[0], expected, rtol=1e-10)


def test_float32_is_close_to_float64_anywhere_on_a_large_canvas(rng):
    mask = np.zeros((1, 512, 512, 1))
    mask[:, 480:505, 490:512] = 1
    image = rng.uniform(0.2, 1, mask.shape)
    for feature in FEATURES[:3]:
        exact = feature.gradient(tf.constant(image), tf.constant(mask)).numpy()
        single = feature.gradient(tf.constant(image, tf.float32), tf.constant(mask, tf.float32)).numpy()
        np.testing.assert_allclose(single, exact, atol=2e-5 * np.abs(exact).max())


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_a_feature_survives_keras_serialisation(feature, rng):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(feature))
    assert type(copy) is type(feature)
    assert copy.get_config() == feature.get_config()
    image, mask = sample("oblique", rng)
    np.testing.assert_array_equal(copy.gradient(image, mask), feature.gradient(image, mask))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_a_feature_works_inside_graphs_of_any_batch_size(feature, jit, rng):
    run = tf.function(
        feature.gradient,
        input_signature=[tf.TensorSpec([None, SIZE, SIZE, 1], tf.float64)] * 2,
        jit_compile=jit,
    )
    image, mask = sample("oblique", rng)
    np.testing.assert_allclose(run(image, mask), feature.gradient(image, mask), atol=1e-12)


def test_noise_is_the_same_for_the_same_seed_and_linear(rng):
    image, mask = sample("oblique", rng)
    noise = fgf_keras.LinearNoise(seed=4)
    np.testing.assert_allclose(noise.value(2 * image, mask), 2 * noise.value(image, mask))
    np.testing.assert_array_equal(
        noise.gradient(image, mask), fgf_keras.LinearNoise(4).gradient(0 * image, mask)
    )
    assert not np.allclose(noise.gradient(image, mask), fgf_keras.LinearNoise(5).gradient(image, mask))


def test_a_function_without_a_gradient_is_named(rng):
    image, mask = sample("oblique", rng)
    feature = fgf_keras.AutodiffFeature(lambda x, m: tf.reduce_sum(tf.round(m), [1, 2, 3]), name="pixels")
    with pytest.raises(FeatureError, match="'pixels' has no gradient"):
        feature.gradient(image, mask)


def test_a_function_that_does_not_return_one_number_a_sample_is_named(rng):
    image, mask = sample("oblique", rng)
    feature = fgf_keras.AutodiffFeature(lambda x, m: x * m, name="picture")
    with pytest.raises(FeatureError, match=r"'picture' must return one number per sample.*\(1, 15, 15, 1\)"):
        feature.value(image, mask)


def test_a_function_that_could_not_be_found_again_is_not_saved():
    feature = fgf_keras.AutodiffFeature(lambda x, m: tf.reduce_sum(x, [1, 2, 3]), name="sum")
    with pytest.raises(FeatureError, match="register_keras_serializable"):
        feature.get_config()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([], "At least one feature"),
        ([fgf_keras.Extent, fgf_keras.Brightness()], "Expected instances"),
        ([fgf_keras.Extent(), fgf_keras.Extent()], "Received twice: extent"),
        ([fgf_keras.Extent(name="joint")], "'joint' is taken"),
    ],
)
def test_features_that_cannot_be_told_apart_are_refused(features, message):
    with pytest.raises(FeatureError, match=message):
        unique_names(features)


@pytest.mark.parametrize("name", ["a/b", "", 3, "a b"])
def test_a_name_that_is_no_key_is_refused(name):
    with pytest.raises(FeatureError, match=r"letters, digits|name"):
        fgf_keras.AutodiffFeature(lambda x, m: x, name=name)


def test_gradients_are_stacked_in_order(rng):
    image, mask = sample("oblique", rng)
    stack = stack_gradients(CLOSED_FORM, image, mask)
    assert stack.shape == (1, len(CLOSED_FORM), SIZE, SIZE, 1)
    np.testing.assert_array_equal(stack[:, 1], FEATURES[1].gradient(image, mask))
