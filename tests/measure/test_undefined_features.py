"""A feature that is not a finite number at some samples spoils neither the others nor other samples."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import Brightness, Extent, explain

SIZE, COUNT = 10, 6
UNDEFINED = [1, 4]
OWN = ["S", "F", "unique", "shapley", "partial", "slope", "slope_alone", "effect", "change", "contribution"]


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(2)
    images = rng.uniform(0.3, 1, (COUNT, SIZE, SIZE, 1)).astype(np.float32)
    masks = np.zeros_like(images)
    masks[:, 2:8, 2:7] = 1
    images[UNDEFINED, 0, 0] = 0
    return images, masks


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(4)
    layers = [keras.layers.Conv2D(3, 3, activation="tanh"), keras.layers.Flatten(), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((SIZE, SIZE, 1)), *layers])


def nan_contrast(image, mask):
    """A contrast inside the mask, NaN for images with a corner of 0."""
    inside = tf.reduce_sum(mask * image**2, [1, 2, 3]) / tf.reduce_sum(mask, [1, 2, 3])
    return inside + 0 * tf.math.log(image[:, 0, 0, 0] - 0.01)


def infinite_gradient(image, mask):
    """Finite, but with an infinite derivative where the corner is 0 - once it counts inside the mask."""
    corner = image[:, 0, 0, 0] * 1e-3
    return tf.reduce_sum(mask * image**2, [1, 2, 3]) * tf.where(corner > 0, 1.0, float("inf"))


@pytest.mark.parametrize("feature", [nan_contrast, infinite_gradient])
def test_its_own_columns_are_undefined_and_those_of_the_others_are_theirs(network, samples, feature):
    frame = explain(network, *samples, features=[Brightness(), feature, Extent()], nulls="matched").to_frame()
    others = explain(network, *samples, features=[Brightness(), Extent()], nulls="matched").to_frame()
    name = feature.__name__
    for key in OWN:
        missing = np.flatnonzero(np.isnan(frame[f"{key}_{name}"]))
        assert set(UNDEFINED) <= set(missing), key
        assert len(missing) == len(UNDEFINED), key
    # Where it is undefined, all else is as if it were not there.
    for key in ("S_joint", "F_joint", "S_brightness", "slope_extent", "contribution_extent", "unexplained"):
        np.testing.assert_allclose(frame[key].iloc[UNDEFINED], others[key].iloc[UNDEFINED], rtol=1e-4)
    statuses = ["feature_undefined" if row in UNDEFINED else "reached" for row in range(COUNT)]
    assert frame["status"].tolist() == statuses
    assert others["status"].tolist() == ["reached"] * COUNT


def test_the_population_share_is_that_of_the_samples_where_all_features_are_defined(network, samples):
    images, masks = (np.concatenate([array] * 3) for array in samples)
    rng = np.random.default_rng(0)
    images = np.where(images > 0, images + rng.uniform(0, 0.05, images.shape), 0).astype(np.float32)
    explanation = explain(network, images, masks, features=[Brightness(), nan_contrast], flow=False)
    share = explanation.population(permutations=50, bootstrap=50)
    assert "12 " in repr(share)
