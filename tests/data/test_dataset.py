"""Batches hold the patients asked for; augmentation moves tumours and changes nothing else about them."""

import math

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.config.data import AugmentConfig, PhantomConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.dataset import class_weights, make_dataset
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.errors import DataError

FLIPS = AugmentConfig(flips=True, rotation_degrees=0.0)
TURN = AugmentConfig(flips=False, rotation_degrees=90.0)
BOTH = AugmentConfig(flips=True, rotation_degrees=20.0)


@pytest.fixture(scope="module")
def cohort():
    config = PhantomConfig(patients=22, prevalence=0.2)
    return phantom_cohort(config, size=32, window=[-50.0, 300.0], spacing=[2.0, 1.0], seed=5)


def stack(dataset):
    """All batches as one dictionary of arrays, with the labels in it."""
    batches = [{**inputs, "label": label} for inputs, label in dataset.as_numpy_iterator()]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def positions(cohort, images):
    """Which patient each image is, for images that were not augmented."""
    return [int(np.flatnonzero((cohort.images == image).all(axis=(1, 2, 3)))[0]) for image in images]


def moments(weights, spacing):
    """Mean row and column, extent (mm) and log aspect ratio of one (H, W) image."""
    y, x = np.mgrid[: weights.shape[0], : weights.shape[1]] * np.reshape(spacing, (2, 1, 1)).astype(float)
    total = weights.sum()
    cy, cx = (weights * y).sum() / total, (weights * x).sum() / total
    products = [(y - cy) ** 2, (y - cy) * (x - cx), (x - cx) ** 2]
    yy, yx, xx = ((weights * product).sum() / total for product in products)
    minor, major = np.linalg.eigvalsh([[yy, yx], [yx, xx]])
    return np.array(
        [cy / spacing[0], cx / spacing[1], math.sqrt(minor + major), 0.5 * math.log(major / minor)]
    )


def ellipses(spacing, angles, size=64, axes=(20.0, 9.0), masked=True):
    """Bright ellipses turned by `angles`, semi-axes in mm, on black or in dim tissue."""
    y, x = ((np.arange(size) - size / 2 + 0.3) * mm for mm in spacing)
    y, x = y[:, None], x[None, :]
    masks = []
    for angle in angles:
        along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        masks.append(np.hypot(along / axes[0], across / axes[1]) <= 1)
    masks = np.array(masks)[..., None]
    return Cohort(
        patient_id=[f"e{i}" for i in range(len(angles))],
        images=np.where(masks, 0.8, 0.0 if masked else 0.3).astype(np.float32),
        masks=masks,
        labels=np.arange(len(angles)) % 2,
        spacing=np.tile(spacing, (len(angles), 1)),
    )


def test_without_training_patients_come_in_the_order_asked_for(cohort):
    indices = [7, 0, 21, 3, 3]
    dataset = make_dataset(cohort, indices, batch_size=2)
    assert [len(label) for _, label in dataset.as_numpy_iterator()] == [2, 2, 1]
    seen = stack(dataset)
    np.testing.assert_array_equal(seen["image"], cohort.images[indices])
    np.testing.assert_array_equal(seen["mask"], cohort.masks[indices])
    np.testing.assert_array_equal(seen["spacing"], [[2, 1]] * 5)
    np.testing.assert_array_equal(seen["label"], cohort.labels[indices])


@pytest.mark.parametrize(
    "options",
    [{}, {"training": True}, {"training": True, "augment": BOTH}, {"training": True, "balanced": True}],
)
def test_elements_have_the_stated_types_and_an_epoch_its_length(cohort, options):
    dataset = make_dataset(cohort, np.arange(22), batch_size=5, seed=0, **options)
    inputs, label = dataset.element_spec
    assert inputs == {
        "image": tf.TensorSpec([None, 32, 32, 1]),
        "mask": tf.TensorSpec([None, 32, 32, 1]),
        "spacing": tf.TensorSpec([None, 2]),
    }
    assert label == tf.TensorSpec([None], tf.int64)
    assert int(dataset.cardinality()) == 5
    assert len(list(dataset)) == 5


def test_training_shows_every_patient_once_an_epoch_in_a_new_order(cohort):
    dataset = make_dataset(cohort, np.arange(22), batch_size=4, seed=0, training=True)
    epochs = [positions(cohort, stack(dataset)["image"]) for _ in range(3)]
    assert all(sorted(epoch) == list(range(22)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, range(22)]}) == 4


@pytest.mark.parametrize("balanced", [False, True])
def test_the_same_seed_gives_the_same_batches_and_another_seed_others(cohort, balanced):
    def epochs(seed):
        options = {"augment": BOTH, "balanced": balanced, "training": True}
        dataset = make_dataset(cohort, np.arange(22), batch_size=4, seed=seed, **options)
        return [stack(dataset) for _ in range(2)]

    one, same, other = epochs(1), epochs(1), epochs(2)
    for first, again in zip(one, same):
        for name in first:
            np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(one[0]["image"], one[1]["image"])
    assert not np.array_equal(one[0]["image"], other[0]["image"])


def test_labels_stay_with_their_images(cohort):
    for options in ({}, {"balanced": True}):
        seen = stack(make_dataset(cohort, np.arange(22), batch_size=4, seed=0, training=True, **options))
        where = positions(cohort, seen["image"])
        np.testing.assert_array_equal(seen["label"], cohort.labels[where])
        np.testing.assert_array_equal(seen["mask"], cohort.masks[where])


def test_without_a_seed_training_still_runs(cohort):
    dataset = make_dataset(cohort, np.arange(22), batch_size=4, augment=BOTH, training=True)
    assert len(stack(dataset)["label"]) == 22


def test_balanced_batches_hold_each_class_equally_often():
    labels = np.array([0] * 54 + [1] * 6)
    pixels = np.tile(np.linspace(0.1, 0.9, 60, dtype=np.float32)[:, None, None, None], (1, 2, 2, 1))
    cohort = Cohort([f"p{i}" for i in range(60)], pixels, np.ones_like(pixels), labels, np.ones((60, 2)))
    dataset = make_dataset(cohort, np.arange(60), batch_size=16, seed=0, balanced=True, training=True)
    assert int(dataset.cardinality()) == 4
    epochs = [stack(dataset) for _ in range(25)]
    assert all(len(epoch["label"]) == 64 for epoch in epochs)
    seen = np.concatenate([epoch["label"] for epoch in epochs])
    assert seen.mean() == pytest.approx(0.5, abs=0.05)
    # Every patient of a class is shown before one is shown again.
    rare = np.concatenate([epoch["image"][epoch["label"] == 1][:6, 0, 0, 0] for epoch in epochs])
    assert all(len(set(rare[i : i + 6])) == 6 for i in range(0, len(rare), 6))


def test_balanced_batches_know_the_classes_of_the_whole_cohort(cohort):
    negatives = np.flatnonzero(cohort.labels == 0)
    with pytest.raises(DataError, match=rf"\[{len(negatives)}, 0\]"):
        make_dataset(cohort, negatives, batch_size=4, balanced=True, training=True)


def test_flips_are_exact_and_all_four_happen(cohort):
    one = cohort.select([0])
    dataset = make_dataset(one, [0] * 64, batch_size=64, seed=0, augment=FLIPS, training=True)
    seen = stack(dataset)
    expected = [(slice(None, None, a), slice(None, None, b)) for a in (1, -1) for b in (1, -1)]
    found = set()
    for image, mask in zip(seen["image"], seen["mask"]):
        which = [k for k, cut in enumerate(expected) if np.array_equal(image, one.images[0][cut])]
        assert len(which) == 1
        np.testing.assert_array_equal(mask, one.masks[0][expected[which[0]]])
        found.add(which[0])
    assert found == {0, 1, 2, 3}


def test_augmentation_is_drawn_anew_each_epoch(cohort):
    dataset = make_dataset(cohort, [0] * 8, batch_size=8, seed=0, augment=BOTH, training=True)
    assert not np.array_equal(stack(dataset)["image"], stack(dataset)["image"])


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0), (0.8, 1.6)])
def test_a_rotation_is_rigid_in_mm(spacing):
    cohort = ellipses(spacing, np.linspace(0, 3, 24))
    seen = stack(make_dataset(cohort, np.arange(24), batch_size=24, seed=0, augment=TURN, training=True))
    turned = np.array([moments(mask[..., 0], spacing) for mask in seen["mask"]])
    original = moments(cohort.masks[0, ..., 0], spacing)
    np.testing.assert_allclose(turned[:, :2], np.tile(original[:2], (24, 1)), atol=0.6)
    np.testing.assert_allclose(turned[:, 2], original[2], rtol=0.03)
    np.testing.assert_allclose(turned[:, 3], original[3], atol=0.06)
    changed = [not any((mask == other).all() for other in cohort.masks) for mask in seen["mask"]]
    assert np.mean(changed) > 0.8


def test_a_rotation_turns_as_far_as_it_may_and_both_ways():
    cohort = ellipses((1.0, 1.0), [0.0])
    small = AugmentConfig(flips=False, rotation_degrees=30.0)
    seen = stack(make_dataset(cohort, [0] * 200, batch_size=200, seed=0, augment=small, training=True))
    y, x = np.mgrid[:64, :64]
    angles = []
    for mask in seen["mask"][..., 0]:
        dy, dx = (y - (mask * y).sum() / mask.sum()), (x - (mask * x).sum() / mask.sum())
        tangent = 2 * (mask * dy * dx).sum(), (mask * (dx**2 - dy**2)).sum()
        angles.append(math.degrees(0.5 * math.atan2(*tangent)))
    assert -31 < min(angles) < -25
    assert 25 < max(angles) < 31
    assert np.std(angles) == pytest.approx(30 / math.sqrt(3), rel=0.15)


@pytest.mark.parametrize("masked", [True, False])
def test_a_rotated_tumour_has_no_rim(masked):
    cohort = ellipses((1.0, 1.5), np.linspace(0, 3, 8), masked=masked)
    seen = stack(make_dataset(cohort, np.arange(8), batch_size=8, seed=0, augment=TURN, training=True))
    np.testing.assert_allclose(seen["image"][seen["mask"] == 1], 0.8, atol=1e-5)
    if not masked:
        assert seen["image"].min() == pytest.approx(0.3, abs=1e-5)  # no black corners either


def test_an_augmented_phantom_keeps_its_brightness_and_a_binary_mask(cohort):
    seen = stack(make_dataset(cohort, [4] * 40, batch_size=16, seed=0, augment=BOTH, training=True))
    assert set(np.unique(seen["mask"])) == {0, 1}
    assert seen["image"].min() >= 0
    assert seen["image"].max() <= 1
    inside = cohort.images[4][cohort.masks[4] == 1].mean()
    for image, mask in zip(seen["image"], seen["mask"]):
        assert image[mask == 1].mean() == pytest.approx(inside, abs=0.02)


def test_a_tumour_too_thin_to_turn_stays_as_it_was():
    mask = np.zeros((1, 16, 16, 1), np.uint8)
    mask[0, 8, 2] = mask[0, 8, 13] = mask[0, 3, 8] = 1  # far from their common centre: all of them fade away
    image = np.where(mask, 0.5, 0.1).astype(np.float32)
    cohort = Cohort(["thin"], image, mask, [0], [[1, 1]])
    seen = stack(make_dataset(cohort, [0] * 200, batch_size=100, seed=0, augment=TURN, training=True))
    assert seen["mask"].any(axis=(1, 2, 3)).all()
    kept = (seen["image"] == image).all(axis=(1, 2, 3))
    assert 0 < kept.sum() < 200
    np.testing.assert_array_equal(seen["mask"][kept], np.tile(mask, (kept.sum(), 1, 1, 1)))


def test_augmentation_that_changes_nothing_changes_nothing(cohort):
    nothing = AugmentConfig(flips=False, rotation_degrees=0.0)
    plain, same = (
        stack(make_dataset(cohort, np.arange(22), batch_size=4, seed=0, augment=augment, training=True))
        for augment in (None, nothing)
    )
    np.testing.assert_array_equal(plain["image"], same["image"])


def pasted(seen, size):
    """Windows put on the canvases that they come from."""
    fields = {name: np.zeros((len(seen["origin"]), size, size, 1), np.float32) for name in ("image", "mask")}
    for k, (y, x) in enumerate(seen["origin"]):
        for name, field in fields.items():
            part = field[k, y : y + seen[name].shape[1], x : x + seen[name].shape[2]]
            part[:] = seen[name][k, : part.shape[0], : part.shape[1]]
            # What does not fit on the canvas is nothing.
            assert np.count_nonzero(part) == np.count_nonzero(seen[name][k])
    return fields


def off_centre():
    """Ellipses of several sizes anywhere on the canvas, some of them cut off at its border, in tissue."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:48, :48]
    masks = []
    for _ in range(40):
        row, column, long, short, turn = rng.uniform([2, 2, 2, 2, 0], [46, 46, 14, 6, 3])
        along = np.cos(turn) * (x - column) + np.sin(turn) * (y - row)
        across = np.cos(turn) * (y - row) - np.sin(turn) * (x - column)
        masks.append(np.hypot(along / long, across / short) <= 1)
    masks = np.array(masks)[..., None]
    images = np.float32(0.2) + rng.uniform(0, 0.8, masks.shape).astype(np.float32) * masks
    spacing = rng.uniform(0.7, 1.5, (40, 2))
    return Cohort([f"c{i}" for i in range(40)], images, masks, np.arange(40) % 2, spacing)


@pytest.mark.parametrize("degrees", [0.0, 10.0, 100.0, 180.0])
@pytest.mark.parametrize("flips", [False, True])
def test_windows_are_what_the_canvas_shows_of_the_tumour_however_it_is_turned(flips, degrees):
    cohort = off_centre()
    options = {"augment": AugmentConfig(flips=flips, rotation_degrees=degrees), "training": True}
    whole, cut = (
        stack(make_dataset(cohort, np.arange(40), batch_size=7, seed=0, windows=windows, **options))
        for windows in (False, True)
    )
    back = pasted(cut, 48)
    np.testing.assert_array_equal(back["mask"], whole["mask"])
    # Places on the canvas are larger numbers than in the window, so they are rounded elsewhere.
    np.testing.assert_allclose(back["image"], whole["image"] * whole["mask"], atol=1e-4 if degrees else 0)
    np.testing.assert_array_equal(cut["label"], whole["label"])
    np.testing.assert_array_equal(cut["spacing"], whole["spacing"])


def test_windows_are_as_large_as_the_largest_tumour_needs(cohort):
    inputs, _ = make_dataset(cohort, np.arange(22), batch_size=5, windows=True).element_spec
    rows, columns = (cohort.masks.any(axis=axis).sum(axis=1).max() for axis in ((2, 3), (1, 3)))
    assert inputs["image"] == inputs["mask"] == tf.TensorSpec([None, rows, columns, 1])
    assert inputs["origin"] == tf.TensorSpec([None, 2], tf.int32)
    assert rows < 32


def test_windows_without_augmentation_are_exact_and_empty_around_the_tumour(cohort):
    seen = stack(make_dataset(cohort, np.arange(22), batch_size=5, windows=True))
    back = pasted(seen, 32)
    np.testing.assert_array_equal(back["mask"], cohort.masks)
    np.testing.assert_array_equal(back["image"], cohort.images * cohort.masks)


@pytest.mark.parametrize("indices", [[], [0.5], [[0, 1]], [True, False], [0, 22], [-1]])
def test_indices_that_are_no_positions_in_the_cohort_are_refused(cohort, indices):
    with pytest.raises(DataError, match="indices must be"):
        make_dataset(cohort, indices, batch_size=2)


@pytest.mark.parametrize("training", [False, True])
def test_letting_go_of_an_iterator_waits_for_no_tuning(cohort, training):
    # Keras does so in every epoch, and the tuning thread of TensorFlow sleeps for up to a minute.
    dataset = make_dataset(cohort, np.arange(22), batch_size=4, seed=0, training=training)
    assert dataset.options().autotune.enabled is False
    assert dataset.repeat().options().autotune.enabled is False


def test_a_batch_without_patients_is_refused(cohort):
    with pytest.raises(DataError, match="batch_size=0"):
        make_dataset(cohort, [0], batch_size=0)


@pytest.mark.parametrize("options", [{"augment": BOTH}, {"balanced": True}])
def test_augmentation_and_balance_belong_to_training(cohort, options):
    with pytest.raises(DataError, match="training=True"):
        make_dataset(cohort, [0, 1], batch_size=2, **options)


def test_class_weights_give_every_class_the_same_total():
    weights = class_weights([0] * 6 + [1] * 2 + [2] * 4)
    assert weights == {0: pytest.approx(2 / 3), 1: pytest.approx(2.0), 2: pytest.approx(1.0)}
    assert all(type(key) is int and type(value) is float for key, value in weights.items())


@pytest.mark.parametrize("labels", [[1, 1], [0, 2], []])
def test_class_weights_of_a_missing_class_are_refused(labels):
    with pytest.raises(DataError, match="every class"):
        class_weights(labels)
