"""Images moved to a value of a feature: on the path that small steps follow, in the mask and in [0, 1]."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import Brightness, Extent, LogAspectRatio
from fgf_keras.measure.feature_flow import FeatureFlow
from fgf_keras.measure.tumour_windows import Windows, moved_by, smooth_fields_in

SHAPE = (4, 18, 20, 1)


@pytest.fixture
def tumours(rng):
    y, x = np.mgrid[:18, :20]
    axes = np.array([(8, 5), (6, 7), (5, 5), (7, 4)])[:, :, np.newaxis, np.newaxis]
    masks = ((y - 9) / axes[:, 0]) ** 2 + ((x - 10) / axes[:, 1]) ** 2 <= 1
    masks = masks[..., np.newaxis].astype(np.float32)
    images = (0.5 + 0.02 * (y - 9) - 0.01 * (x - 10))[..., np.newaxis] + rng.normal(0, 0.05, SHAPE)
    return np.clip(images, 0, 1).astype(np.float32) * masks + 0.3 * (1 - masks), masks


def moved(features, targets, images, masks, chosen=None):
    flow = FeatureFlow(features, targets, np.ones(len(features)), (None, None, 1))
    spacing = np.ones((len(images), 2), np.float32)
    chosen = np.ones(len(features), bool) if chosen is None else np.array(chosen)
    tensors = map(tf.constant, (images, images, masks, spacing, chosen))
    return {key: value.numpy() for key, value in flow.moved(*tensors).items()}


def values(feature, images, masks):
    return feature.value(tf.constant(images), tf.constant(masks)).numpy()


@pytest.mark.parametrize(("feature", "target"), [(Extent(), 3.6), (LogAspectRatio(), 0.35)])
def test_the_end_is_that_of_many_small_steps(tumours, feature, target):
    images, masks = tumours
    found = moved([feature], [target], images, masks)
    assert values(feature, found["after"], masks) == pytest.approx([target] * 4, abs=1e-4)
    image, mask = tf.constant(images, tf.float64), tf.constant(masks, tf.float64)
    steps = 2000
    gap = feature.value(image, mask) - target
    for _ in range(steps):
        gradient = feature.gradient(image, mask)
        leaves = (np.sign(gap)[:, None, None, None] * gradient > 0) & (image <= 0)
        leaves |= (np.sign(gap)[:, None, None, None] * gradient < 0) & (image >= 1)
        gradient = tf.where(leaves, tf.zeros_like(gradient), gradient)
        size = tf.reduce_sum(gradient**2, [1, 2, 3], keepdims=True)
        image = tf.clip_by_value(image - (gap / steps)[:, None, None, None] * gradient / size, 0, 1)
    distance = np.sqrt(((found["after"] - images) ** 2).sum(axis=(1, 2, 3)))
    error = np.sqrt(((found["after"] - image.numpy()) ** 2).sum(axis=(1, 2, 3)))
    assert (error < 0.01 * distance).all()


@pytest.mark.parametrize("target", [0.08, 0.93])
def test_pixels_stop_at_the_ends_of_the_range(tumours, target):
    images, masks = tumours
    found = moved([Brightness()], [target], images, masks)
    after = found["after"]
    assert after.min() >= 0
    assert after.max() <= 1
    assert np.array_equal(after[masks == 0], images[masks == 0])
    assert values(Brightness(), after, masks) == pytest.approx([target] * 4, abs=1e-4)
    for image, mask, end in zip(images, masks > 0, after):
        # All pixels rise or fall alike until each stops; some stop by a part of a step too early.
        inner = mask & (end > 1e-6) & (end < 1 - 1e-6)
        shift = (end - image)[inner].mean()
        assert end[mask] == pytest.approx(np.clip(image[mask] + shift, 0, 1), abs=0.02)
        assert (end[mask] * (1 - end[mask]) == 0).any()


def test_several_features_arrive_together_and_those_not_chosen_do_not_aim(tumours):
    images, masks = tumours
    features = [Brightness(), Extent(), LogAspectRatio()]
    found = moved(features, [0.5, 3.4, 0.3], images, masks)
    for feature, target in zip(features, (0.5, 3.4, 0.3)):
        assert values(feature, found["after"], masks) == pytest.approx([target] * 4, abs=1e-4)
    assert found["error"].max() < 1e-4
    alone = moved(features, [0.5, 3.4, 0.3], images, masks, [True, False, False])
    expected = moved([Brightness()], [0.5], images, masks)
    assert alone["after"] == pytest.approx(expected["after"], abs=1e-5)


def test_collinear_features_count_once(tumours):
    images, masks = tumours
    found = moved([Brightness(), Brightness(name="again")], [0.45, 0.45], images, masks)
    assert found["after"] == pytest.approx(moved([Brightness()], [0.45], images, masks)["after"], abs=1e-4)
    # Targets that contradict each other are not reached.
    assert (moved([Brightness(), Brightness(name="again")], [0.4, 0.5], images, masks)["error"] > 0.04).all()


def test_windows_hold_the_tumours_and_are_put_back(rng):
    masks = np.zeros((3, 10, 12, 1))
    masks[0, 1:4, 2:9], masks[1, 7:10, 10:], masks[2, 0, 0] = 1, 1, 1
    windows = Windows.around(masks)
    fields = rng.normal(size=masks.shape)
    cut = windows.of(fields)
    assert cut.shape == (3, 3, 7, 1)
    assert windows.of(masks).sum() == masks.sum()
    assert np.array_equal(
        windows.put(np.zeros_like(fields), cut) != 0, windows.put(fields * 0, cut * 0 + 1) > 0
    )
    assert np.array_equal(windows.put(fields, cut), fields)


def test_a_random_field_is_the_same_in_the_frame_of_every_tumour():
    masks = np.zeros((2, 20, 20, 1), np.float32)
    masks[0, 2:9, 3:10], masks[1, 13:20, 12:19] = 1, 1
    windows = Windows.around(masks)
    for field in smooth_fields_in(windows, windows.of(masks), 2, 3.0, np.array([0, 1], np.int32)):
        assert np.array_equal(field[0], field[1])
        assert field.std() > 0.1


def test_images_move_by_the_norm_that_is_asked_for(rng):
    images = rng.uniform(0, 1, (5, 6, 7, 1))
    fields = rng.normal(size=images.shape)
    fields[:, :2] = 0
    norms = np.array([0, 0.1, 1.0, 2.5, 100])
    after = moved_by(images, fields, norms)
    change = np.sqrt(((after - images) ** 2).sum(axis=(1, 2, 3)))
    assert change[:4] == pytest.approx(norms[:4])
    assert after.min() >= 0
    assert after.max() <= 1
    assert np.array_equal(after[:, :2], images[:, :2])
    # As far as there is room.
    assert set(after[4, 2:].ravel()) == {0, 1}
    for image, field, end in zip(images[1:4], fields[1:4], after[1:4]):
        free = (end > 0) & (end < 1) & (field != 0)
        scale = (end - image)[free] / field[free]
        assert scale == pytest.approx([scale[0]] * len(scale))
        assert end == pytest.approx(np.clip(image + scale[0] * field, 0, 1))
