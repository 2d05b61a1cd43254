"""Features of sequences, and inputs with a number of axes that a feature does not take."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.errors import FeatureError
from fgf_keras.features import (
    AutodiffFeature,
    Brightness,
    Column,
    Elongation,
    Extent,
    Flatness,
    LinearNoise,
    LogAspectRatio,
)
from fgf_keras.features.base import Feature, refuse_coupled, refuse_ranks, stack_gradients


def test_extent_of_a_sequence_by_hand():
    """Weights 1, 2, 1 at 1, 2, 3 and half a step between them: μ = 1, variance 2·0.5²/4."""
    image = tf.constant([[9.0, 1.0, 2.0, 1.0, 9.0]])[..., None]
    mask = tf.constant([[0.0, 1.0, 1.0, 1.0, 0.0]])[..., None]
    assert float(Extent().value(image, mask, [0.5])[0]) == pytest.approx(np.sqrt(0.125))
    assert float(Brightness().value(image, mask)[0]) == pytest.approx(4 / 3)
    # m ((r - μ)² - σ²) / (2 s σ)
    expected = np.array([0, 0.125, -0.125, 0.125, 0]) / (8 * np.sqrt(0.125))
    np.testing.assert_allclose(Extent().gradient(image, mask, [0.5])[0, :, 0], expected, rtol=1e-6)
    assert Extent().is_defined(image, mask)[0]
    assert not Extent().is_defined(-image, mask)[0]


@pytest.mark.parametrize("feature", [Brightness(), Extent(), LinearNoise(2)], ids=lambda f: f.name)
def test_gradients_are_those_of_autodiff_and_of_finite_differences(feature, rng):
    image, mask = (
        tf.constant(rng.uniform(0.2, 1, (1, 9, 2))),
        tf.constant((np.arange(9) > 3.0)[None, :, None] * 1.0),
    )
    gradient = feature.gradient(image, mask, [0.3]).numpy()
    np.testing.assert_allclose(Feature.gradient(feature, image, mask, [0.3]), gradient, atol=1e-12)
    for k in np.ndindex(1, 9, 2):
        step = np.zeros((1, 9, 2))
        step[k] = 1e-6
        up, down = (feature.value(image + sign * step, mask, [0.3])[0] for sign in (1, -1))
        assert float(up - down) / 2e-6 == pytest.approx(gradient[k], abs=1e-7)


@pytest.mark.parametrize("content", ["one step", "nothing", "zero"])
def test_sequences_without_a_spread_have_finite_values_and_gradients(content):
    mask = np.zeros((1, 6, 1), np.float32)
    mask[:, 2] = content == "one step"
    image = tf.ones((1, 6, 1)) * (content != "zero")
    assert float(Extent().value(image, mask)[0]) == 0
    np.testing.assert_array_equal(Extent().gradient(image, mask), 0)


@pytest.mark.parametrize(
    ("feature", "axes", "message"),
    [
        (
            Flatness(),
            2,
            r"'flatness' takes volumes \(slices, rows, columns\). Received: images \(rows, columns\)",
        ),
        (LogAspectRatio(), 1, r"takes images \(rows, columns\) or volumes .* Received: sequences"),
        (Elongation(), 0, "Received: tables"),
        (Extent(), 4, "Received: 4 spatial axes"),
        (Column("age"), 2, "'age' takes tables"),
    ],
)
def test_a_feature_of_other_inputs_is_refused(feature, axes, message):
    with pytest.raises(FeatureError, match=message):
        refuse_ranks([Brightness(), feature], axes)


def test_features_take_their_own_inputs_and_those_of_a_user_any():
    own = AutodiffFeature(lambda image: image[:, 0], name="own")
    for axes, features in {
        0: [LinearNoise()],
        1: [Extent()],
        2: [Elongation()],
        3: [Flatness(), Extent()],
    }.items():
        refuse_ranks([own, *features], axes)


@pytest.mark.parametrize("feature", [LogAspectRatio(), Elongation(), Flatness()], ids=lambda f: f.name)
def test_a_value_of_another_input_is_refused_too(feature):
    sequence = tf.ones((1, 5, 1))
    for method in (feature.value, feature.gradient):
        with pytest.raises(FeatureError, match="Received: sequences"):
            method(sequence, sequence)


@pytest.mark.parametrize("spacing", [[1.0, 1.0], 1.0, np.ones((1, 3))])
def test_a_spacing_of_another_number_of_axes_is_refused(spacing):
    sequence = tf.ones((1, 5, 1))
    with pytest.raises(FeatureError, match=r"one distance per spatial axis, \(B, 1\)"):
        Extent().value(sequence, sequence, spacing)


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_gradients_of_any_inputs_are_stacked_and_coupled_ones_refused(axes, rng):
    shape = (3, *range(4, 4 + axes), 2)
    image, mask = tf.constant(rng.uniform(size=shape), tf.float32), tf.ones((*shape[:-1], 1))
    inner = list(range(1, axes + 2))
    own = AutodiffFeature(lambda x: tf.reduce_sum(x**2, inner), name="energy")
    assert stack_gradients([LinearNoise(1), own], image, mask).shape == (3, 2, *shape[1:])
    spacing = tf.ones((3, axes))
    refuse_coupled([own, LinearNoise(1)], image, mask, spacing)
    refuse_coupled([own], image, mask, spacing[0])
    coupled = AutodiffFeature(lambda x: tf.reduce_sum(x - tf.reduce_mean(x), inner), name="coupled")
    with pytest.raises(FeatureError, match=f"Reduce over the axes {inner}".replace("[", r"\[")):
        refuse_coupled([coupled], image, mask, spacing)
