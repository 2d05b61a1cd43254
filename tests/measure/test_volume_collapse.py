"""Collapsed features of volumes: as in slices for volumes of one slice; distances where they are known."""

import keras
import numpy as np
import pytest

from fgf_keras import AlignmentModel, Brightness, Extent
from fgf_keras.measure.collapse import collapse
from fgf_keras.measure.tumour_windows import Windows, smooth_fields_in

N, SHAPE = 24, (5, 8, 9, 1)


@pytest.fixture(scope="module")
def volumes():
    """Images in the middle of [0, 1], masks of two places, labels."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0.4, 0.6, (N, *SHAPE)) + rng.uniform(-0.1, 0.1, (N, 1, 1, 1, 1))
    masks = np.zeros((N, *SHAPE), np.float32)
    masks[::2, 1:4, 2:6, 3:8] = 1
    masks[1::2, 0:3, 4:8, 1:6] = 1
    return images.astype(np.float32), masks, np.arange(N) % 3 % 2


def summing(shape):
    """A classifier whose logit is the sum of the image."""
    inputs = keras.Input(shape)
    outputs = keras.layers.Dense(1, use_bias=False)(keras.layers.Flatten()(inputs))
    network = keras.Model(inputs, outputs)
    network.set_weights([np.ones((int(np.prod(shape)), 1), np.float32)])
    return network


def test_tumours_move_as_far_as_their_means_are_from_the_target(volumes):
    images, masks, labels = volumes
    model = AlignmentModel(summing(SHAPE), [Brightness()], reward="none")
    found = collapse(model, images, masks, labels, targets={"brightness": 0.5}, draws=3, bootstrap=100)
    entry = found["features"]["brightness"]
    assert entry["status"] == {"reached": N}
    # All tumours have 60 voxels, so each moves by √60 times the change of its mean.
    means = np.array([image[mask > 0].mean() for image, mask in zip(images, masks)])
    assert entry["distance"] == pytest.approx(np.sqrt(60) * abs(means - 0.5).mean(), rel=1e-4)
    assert entry["random_distance"] == pytest.approx(entry["distance"], rel=1e-4)
    assert entry["error"] < 1e-3


def test_a_volume_of_one_slice_is_a_slice(volumes):
    images, masks, labels = (values[:, 2] if values.ndim > 1 else values for values in volumes)
    settings = {"targets": {"brightness": 0.5, "extent": 2.5}, "draws": 0, "bootstrap": 100, "together": True}
    features = [Brightness(), Extent()]
    slices, flat = (
        collapse(
            AlignmentModel(summing(pixels.shape[1:]), features, reward="none"),
            pixels,
            inside,
            labels,
            spacing=spacing,
            **settings,
        )
        for pixels, inside, spacing in (
            (images, masks, (0.8, 1.1)),
            (images[:, np.newaxis], masks[:, np.newaxis], (3.0, 0.8, 1.1)),
        )
    )
    for name in features:
        one, other = (found["features"][name.name] for found in (slices, flat))
        assert one["status"] == other["status"]
        assert other["distance"] == pytest.approx(one["distance"], rel=1e-3)
        assert max(one["error"], other["error"]) < 1e-3


def test_windows_of_volumes_hold_the_masks(volumes):
    images, masks, _ = volumes
    windows = Windows.around(masks)
    cut = windows.of(masks)
    assert cut.shape == (N, 3, 4, 5, 1)
    assert (cut == 1).all()
    np.testing.assert_array_equal(windows.put(images, windows.of(images)), images)
    first = windows.select(slice(0, 1)).of(images[:1])
    np.testing.assert_array_equal(first[0], images[0, 1:4, 2:6, 3:8])
    # The same field for all tumours, each in its own frame.
    for field in smooth_fields_in(windows, cut, 2, 1.0, np.array([0, 1], np.int32)):
        np.testing.assert_array_equal(field, np.broadcast_to(field[:1], field.shape))
