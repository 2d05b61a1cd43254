"""The contrast of core and rim, by a loop over pixels."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.errors import FeatureError
from fgf_keras.features import Brightness, CoreContrast


def contrast(image, mask, spacing, radius):
    places = np.argwhere(mask)
    centre = places.mean(axis=0) * spacing
    core, rim = [], []
    size = len(places) * np.prod(spacing)
    reach = np.sqrt(size / np.pi) if len(spacing) == 2 else np.cbrt(size / (4 / 3 * np.pi))
    for place in places:
        near = np.linalg.norm(place * spacing - centre) <= radius * reach
        (core if near else rim).append(image[tuple(place)])
    return np.mean(core) - np.mean(rim)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 2.0), (3.0, 0.9, 1.1)], ids=str)
@pytest.mark.parametrize("radius", [0.4, 0.8])
def test_it_is_the_difference_of_two_means(spacing, radius, rng):
    shape = (12, 15, 14)[: len(spacing)]
    image = rng.uniform(0.1, 1, (3, *shape, 1))
    mask = np.zeros((3, *shape, 1))
    for k in range(3):
        mask[k, 2 + k : 10, 3 : 12 - k] = 1
        mask[k, 4, 5] = 0  # a hole, which belongs to neither
    feature = CoreContrast(radius)
    found = feature.value(tf.constant(image), tf.constant(mask), tf.constant(spacing, tf.float64))
    expected = [contrast(i[..., 0], m[..., 0], np.array(spacing), radius) for i, m in zip(image, mask)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert feature.is_defined(tf.constant(image), tf.constant(mask)).numpy().all()


def test_its_gradient_is_orthogonal_to_that_of_brightness(rng):
    image, mask = rng.uniform(size=(1, 11, 11, 1)), np.zeros((1, 11, 11, 1))
    mask[0, 2:9, 3:9] = 1
    one, other = (f.gradient(tf.constant(image), tf.constant(mask)) for f in (CoreContrast(), Brightness()))
    assert abs(np.sum(one.numpy() * other.numpy())) < 1e-15
    assert np.sum(one.numpy() ** 2) > 0.1


def test_a_tumour_without_a_rim_has_none():
    mask = np.zeros((2, 9, 9, 1))
    mask[0, 4, 4] = 1
    mask[1, 2:7, 2:7] = 1
    image = tf.constant(mask * 0.5)
    assert CoreContrast().is_defined(image, tf.constant(mask)).numpy().tolist() == [False, True]
    assert np.isfinite(CoreContrast().gradient(image, tf.constant(mask))).all()


@pytest.mark.parametrize("radius", [0.0, 1.0, -0.5])
def test_a_core_that_is_nothing_or_all_is_refused(radius):
    with pytest.raises(FeatureError, match=r"0 < radius < 1"):
        CoreContrast(radius)
