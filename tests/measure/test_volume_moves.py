"""Tumours in volumes, moved along a feature, and the score of the moved ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import AlignmentModel, Brightness, Extent, LogAspectRatio
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.volume_cohort import phantom_volumes
from fgf_keras.measure.behaviour import behaviour
from fgf_keras.measure.moves import Tumour, brightened, scaled, stretched

FEATURES = {"brightness": Brightness(), "extent": Extent(), "log_aspect_ratio": LogAspectRatio()}
SPACING = (2.0, 1.0, 1.3)


def ellipsoid(axes=(11.0, 14.0, 19.0)):
    """Half axes in mm along slices, rows and columns, a little brighter towards the head."""
    grid = np.stack(
        np.meshgrid(*((np.arange(48) - 23.7) * mm for mm in SPACING), indexing="ij")
    )  # (3, D, H, W)
    mask = ((grid / np.reshape(axes, (3, 1, 1, 1))) ** 2).sum(axis=0) <= 1
    return Tumour.cut(0.4 + 0.002 * grid[0], mask, (20, 30, 5), SPACING)


def values(tumour):
    image, mask = (
        tf.constant(field[np.newaxis, ..., np.newaxis], tf.float64) for field in (tumour.image, tumour.mask)
    )
    spacing = tf.constant([tumour.spacing], tf.float64)
    return {name: float(feature.value(image, mask, spacing)[0]) for name, feature in FEATURES.items()}


def changes(before, after):
    before, after = values(before), values(after)
    return {name: after[name] - before[name] for name in before}


@pytest.mark.parametrize("part", [-0.1, 0.1])
def test_extent_changes_by_a_tenth_and_nothing_else_does(part):
    tumour = ellipsoid()
    asked = part * values(tumour)["extent"]
    moved = scaled(tumour, asked)
    found = changes(tumour, moved)
    assert found["extent"] == pytest.approx(asked, rel=0.05)
    assert found["brightness"] == pytest.approx(0, abs=1e-12)
    assert abs(found["log_aspect_ratio"]) < 0.01
    assert moved.mask.sum() == pytest.approx(tumour.mask.sum() * (1 + part) ** 3, rel=0.05)


@pytest.mark.parametrize("asked", [-0.15, 0.1])
def test_the_log_aspect_ratio_changes_by_as_much_and_nothing_else_does(asked):
    tumour = ellipsoid()
    found = changes(tumour, stretched(tumour, asked))
    assert found["log_aspect_ratio"] == pytest.approx(asked, rel=0.06)
    assert found["brightness"] == pytest.approx(0, abs=1e-12)
    assert abs(found["extent"]) < 0.01 * values(tumour)["extent"]


def test_moves_that_would_swap_axes_are_impossible():
    tumour = ellipsoid()
    # Middle and minor axis are in the ratio 14:11, major and middle 19:14.
    assert stretched(tumour, 0.6) is None
    assert stretched(tumour, -0.4) is None
    assert scaled(tumour, -100.0) is None
    flat = Tumour.cut(tumour.image[3:4], tumour.mask[3:4], (0, 0, 0), SPACING)
    assert scaled(flat, 0.1) is None
    assert changes(tumour, brightened(tumour, 0.05))["brightness"] == pytest.approx(0.05)


def test_the_score_of_moved_volumes():
    """A score that is a hundredth of the sum: a voxel-wise change of brightness is known."""
    law = PhantomConfig(patients=12, prevalence=0.4)
    cohort = phantom_volumes(law, shape=(16, 24, 24), window=[-50.0, 300.0], spacing=[1.5, 1.0, 1.0], seed=1)
    inputs = keras.Input((16, 24, 24, 1))
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(0.01))
    model = AlignmentModel(
        keras.Model(inputs, dense(keras.layers.Flatten()(inputs))), [Brightness(), Extent()], reward="none"
    )
    found = behaviour(model, cohort, np.arange(12), {}, split="test", bootstrap=100)
    moves = found["features"]["brightness"]["moves"]
    assert [move["n"] for move in moves] == [12] * 4
    voxels = cohort.masks.sum(axis=(1, 2, 3, 4)).mean()
    for move in moves[1:3]:
        # Per patient, voxels times change; both vary little together.
        assert move["score_change"]["mean"] == pytest.approx(0.01 * voxels * move["feature_change"], rel=0.1)
    grown = found["features"]["extent"]["moves"][-1]
    assert grown["n"] >= 6
    assert grown["score_change"]["mean"] > 0
