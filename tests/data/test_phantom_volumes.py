"""Phantom volumes: their features follow the law's latents, and batches of them keep their masks."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.config import Config
from fgf_keras.config.data import AugmentConfig, PhantomConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.dataset import make_dataset
from fgf_keras.data.phantom.phantom import relabelled
from fgf_keras.data.phantom.volume_cohort import phantom_volumes
from fgf_keras.data.source import source_of
from fgf_keras.errors import DataError
from fgf_keras.features.registry import features_of
from fgf_keras.training.feature_check import feature_values

SHAPE, SPACING = (16, 24, 20), (2.0, 1.0, 1.2)
LAW = PhantomConfig(patients=60, prevalence=0.4)


def drawn(law=LAW, shape=SHAPE, spacing=SPACING):
    return phantom_volumes(law, shape=shape, window=[-50.0, 300.0], spacing=spacing, seed=3)


@pytest.fixture(scope="module")
def cohort():
    return drawn()


def test_shapes_and_whole_tumours(cohort):
    assert cohort.images.shape == cohort.masks.shape == (60, *SHAPE, 1)
    assert cohort.dimension == 3
    np.testing.assert_allclose(cohort.spacing, np.tile(SPACING, (60, 1)))
    for axis in (1, 2, 3):
        others = tuple(a for a in range(5) if a != axis)
        crossed = cohort.masks.any(axis=others)
        assert not crossed[0]
        assert not crossed[-1]


def test_brightness_and_extent_follow_their_latents_only(cohort):
    latents = cohort.provenance["latents"]
    for feature in features_of(["brightness", "extent"]):
        values = feature_values(feature, cohort)
        assert np.corrcoef(values, latents[feature.name])[0, 1] > 0.92
        others = {"brightness", "extent"} - {feature.name}
        assert all(abs(np.corrcoef(values, latents[name])[0, 1]) < 0.3 for name in others)


def test_the_law_changes_labels_and_no_images(cohort):
    law = LAW.model_copy(update={"brightness": 0.0, "extent": 3.0})
    other = drawn(law)
    np.testing.assert_array_equal(other.images, cohort.images)
    again = relabelled(cohort, law)
    assert again.fingerprint() == other.fingerprint()
    assert again.fingerprint() != cohort.fingerprint()


def test_the_source_of_a_configuration():
    data = {"dimension": 3, "size": [8, 16, 20], "spacing": [2.0, 1.0, 1.0], "phantom": {"patients": 8}}
    cohort = source_of(Config(data=data)).cohort()
    assert cohort.images.shape == (8, 8, 16, 20, 1)
    assert cohort.description({})["dimension"] == 3
    cube = Config(data={"dimension": 3, "size": 16, "phantom": {"patients": 8}})
    assert source_of(cube).cohort().images.shape == (8, 16, 16, 16, 1)


def test_a_cohort_of_volumes_checks_its_spacing(cohort):
    arrays = {name: getattr(cohort, name) for name in ("patient_id", "images", "masks", "labels")}
    with pytest.raises(DataError, match=r"spacing must have shape \(60, 3\)"):
        Cohort(**arrays, spacing=cohort.spacing[:, :2])


def stack(dataset):
    batches = [{**inputs, "label": label} for inputs, label in dataset.as_numpy_iterator()]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@pytest.mark.parametrize("windows", [False, True])
def test_batches_hold_whole_volumes_in_order(cohort, windows):
    indices = [5, 2, 40, 1, 0]
    batch = stack(make_dataset(cohort, indices, batch_size=2, windows=windows))
    assert set(batch) == {"image", "mask", "spacing", "label"}
    np.testing.assert_array_equal(batch["image"], cohort.images[indices])
    np.testing.assert_array_equal(batch["mask"], cohort.masks[indices])
    np.testing.assert_array_equal(batch["spacing"], cohort.spacing[indices])
    np.testing.assert_array_equal(batch["label"], cohort.labels[indices])


def training(cohort, indices, augment):
    settings = {"batch_size": len(indices), "seed": 1, "training": True, "augment": augment}
    return stack(make_dataset(cohort, indices, **settings))


def test_flips_along_each_axis(cohort):
    batch = training(cohort, np.arange(60), AugmentConfig(flips=True, rotation_degrees=0.0))
    seen = set()
    for image, mask, label in zip(batch["image"], batch["mask"], batch["label"]):
        for z in (1, -1):
            for y in (1, -1):
                for x in (1, -1):
                    same = (cohort.images[:, ::z, ::y, ::x] == image).all(axis=(1, 2, 3, 4))
                    if same.any():
                        (i,) = np.flatnonzero(same)
                        np.testing.assert_array_equal(mask, cohort.masks[i, ::z, ::y, ::x])
                        assert label == cohort.labels[i]
                        seen.add((int(z), int(y), int(x)))
    assert len(seen) == 8


def test_rotations_in_the_axial_plane_keep_values_and_extent(cohort):
    batch = training(cohort, np.arange(60), AugmentConfig(flips=False, rotation_degrees=25.0))
    assert set(np.unique(batch["mask"])) == {0, 1}
    brightness, extent = features_of(["brightness", "extent"])

    def sorted_values(feature, images, masks, spacing):
        values = feature.value(*(tf.constant(a, tf.float32) for a in (images * masks, masks, spacing)))
        return np.sort(values.numpy())

    for feature, tolerance in ((brightness, 0.02), (extent, 0.06)):
        before = sorted_values(feature, cohort.images, cohort.masks, cohort.spacing)
        after = sorted_values(feature, batch["image"], batch["mask"], batch["spacing"])
        np.testing.assert_allclose(after, before, rtol=tolerance)
    # Slices stay where they are.
    slices = [frozenset(map(int, np.flatnonzero(m.any(axis=(1, 2, 3))))) for m in batch["mask"]]
    assert sum(len(s) for s in slices) <= sum(m.any(axis=(1, 2, 3)).sum() for m in cohort.masks)
