"""Turns by 90 degrees are exact, as likely as asked for, and the same in a window as on the canvas."""

import numpy as np
import pytest

from fgf_keras.config import parse_config
from fgf_keras.config.data import AugmentConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.dataset import make_dataset
from fgf_keras.errors import ConfigError, DataError


def tumours(rng, count=6, size=24, columns=None):
    """Tumours of different shapes at different places, with a spacing of their own."""
    masks = np.zeros((count, size, columns or size, 1), np.uint8)
    for k in range(count):
        masks[k, 2 + k : 9 + k, 4 : 8 + 2 * k] = 1
    images = rng.uniform(0.1, 1, masks.shape).astype(np.float32) * masks
    spacing = np.stack([np.linspace(0.5, 1, count), np.linspace(1, 2, count)], axis=1)
    return Cohort([f"t{k}" for k in range(count)], images, masks, np.arange(count) % 2, spacing)


def drawn(cohort, indices, *, windows=False, seed=0, **augment):
    settings = {"flips": False, "rotation_degrees": 0.0} | augment
    dataset = make_dataset(
        cohort,
        indices,
        batch_size=16,
        seed=seed,
        augment=AugmentConfig(**settings),
        training=True,
        windows=windows,
    )
    batches = list(dataset.as_numpy_iterator())
    if windows:
        return batches
    inputs = {name: np.concatenate([batch[name] for batch, _ in batches]) for name in batches[0][0]}
    return inputs | {"label": np.concatenate([label for _, label in batches])}


@pytest.mark.parametrize("probability", [1.0, 0.75, 0.4])
def test_every_turn_is_that_of_numpy_and_as_frequent_as_it_should_be(rng, probability):
    cohort = tumours(rng)
    seen = drawn(cohort, [3] * 1600, rot90=probability)
    counts = np.zeros(4)
    for image, mask, spacing in zip(seen["image"], seen["mask"], seen["spacing"]):
        (turns,) = [k for k in range(4) if np.array_equal(image, np.rot90(cohort.images[3], k))]
        np.testing.assert_array_equal(mask, np.rot90(cohort.masks[3], turns))
        own = cohort.spacing[3]
        np.testing.assert_array_equal(spacing, own[::-1] if turns % 2 else own)
        counts[turns] += 1
    expected = 1600 * np.array([1 - probability, *[probability / 3] * 3])
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected) + 1e-9)


def test_with_flips_all_eight_positions_happen(rng):
    cohort = tumours(rng)
    seen = drawn(cohort, [2] * 200, rot90=0.75, flips=True)
    positions = [
        np.rot90(image, k) for image in (cohort.images[2], cohort.images[2][:, ::-1]) for k in range(4)
    ]
    found = {
        k for image in seen["image"] for k, other in enumerate(positions) if np.array_equal(image, other)
    }
    assert found == set(range(8))


@pytest.mark.parametrize("degrees", [0.0, 10.0])
@pytest.mark.parametrize("flips", [False, True])
def test_windows_are_what_the_canvas_shows(rng, flips, degrees):
    cohort = tumours(rng)
    settings = {"rot90": 0.75, "flips": flips, "rotation_degrees": degrees}
    whole = drawn(cohort, np.arange(6), **settings)
    start = 0
    for inputs, label in drawn(cohort, np.arange(6), windows=True, **settings):
        for k in range(len(label)):
            # Windows may reach beyond the canvas.
            canvas = np.zeros((72, 72, 1), np.float32)
            (y, x), window = inputs["origin"][k] + 24, inputs["image"][k]
            canvas[y : y + window.shape[0], x : x + window.shape[1]] = window
            expected = whole["image"][start + k] * whole["mask"][start + k]
            np.testing.assert_allclose(canvas[24:48, 24:48], expected, atol=1e-4 if degrees else 0)
            np.testing.assert_array_equal(inputs["spacing"][k], whole["spacing"][start + k])
        start += len(label)
    assert start == 6


def test_a_canvas_that_is_not_square_and_volumes_are_refused(rng):
    with pytest.raises(DataError, match=r"square canvas\. Received: 24 × 30 px"):
        drawn(tumours(rng, columns=30), np.arange(6), rot90=0.5)
    with pytest.raises(ConfigError, match="rot90: is for slices"):
        parse_config({"data": {"dimension": 3, "augment": {"rot90": 0.5}}})
    with pytest.raises(ConfigError, match="rot90"):
        parse_config({"data": {"augment": {"rot90": 1.5}}})
