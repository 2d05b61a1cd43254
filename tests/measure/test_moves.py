"""A tumour moved along one feature has changed by as much as was asked, and in the other features hardly."""

import numpy as np
import pytest

from fgf_keras import Brightness, Extent, LogAspectRatio
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.measure.moves import Tumour, brightened, scaled, stretched

FEATURES = {"brightness": Brightness(), "extent": Extent(), "log_aspect_ratio": LogAspectRatio()}
# Of a change, what rounding to pixels leaves in a tumour of some twenty pixels.
ROUNDING = 0.12


def ellipse(spacing=(1.0, 1.0), axes=(18.0, 10.0), turn=0.5, size=96, gradient=0.002):
    """An ellipse with half axes in mm, a little brighter to one side, at (20, 30) on the canvas."""
    y, x = ((np.arange(size) - size / 2 + 0.3) * mm for mm in spacing)
    y, x = y[:, np.newaxis], x[np.newaxis]
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    mask = (along / axes[0]) ** 2 + (across / axes[1]) ** 2 <= 1
    return Tumour.cut(0.4 + gradient * (x + y), mask, (20, 30), spacing)


def values(tumour):
    image, mask = (np.float64(field)[np.newaxis, ..., np.newaxis] for field in (tumour.image, tumour.mask))
    return {name: float(feature.value(image, mask, tumour.spacing)[0]) for name, feature in FEATURES.items()}


def changes(before, after):
    before, after = values(before), values(after)
    return {name: after[name] - before[name] for name in before}


def centre(tumour):
    places = np.argwhere(tumour.mask) + tumour.origin
    return (places * tumour.image[tumour.mask][:, np.newaxis]).sum(axis=0) / tumour.image.sum()


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.7)])
@pytest.mark.parametrize("part", [-0.1, 0.1])
def test_extent_changes_by_a_tenth_and_nothing_else_does(spacing, part):
    tumour = ellipse(spacing)
    asked = part * values(tumour)["extent"]
    moved = scaled(tumour, asked)
    found = changes(tumour, moved)
    assert found["extent"] == pytest.approx(asked, rel=ROUNDING)
    assert found["brightness"] == pytest.approx(0, abs=1e-12)
    assert abs(found["log_aspect_ratio"]) < 0.012
    assert moved.mask.sum() == pytest.approx(tumour.mask.sum() * (1 + part) ** 2, rel=0.03)
    assert np.allclose(centre(moved), centre(tumour), atol=0.25)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.7)])
@pytest.mark.parametrize("asked", [-0.15, 0.15])
def test_the_log_aspect_ratio_changes_by_as_much_and_nothing_else_does(spacing, asked):
    tumour = ellipse(spacing)
    moved = stretched(tumour, asked)
    found = changes(tumour, moved)
    assert found["log_aspect_ratio"] == pytest.approx(asked, rel=ROUNDING)
    assert found["brightness"] == pytest.approx(0, abs=1e-12)
    assert abs(found["extent"]) < 0.012 * values(tumour)["extent"]
    assert np.allclose(centre(moved), centre(tumour), atol=0.25)


@pytest.mark.parametrize("asked", [-0.1, 0.1])
def test_brightness_changes_by_as_much_and_the_shape_stays(asked):
    tumour = ellipse()
    moved = brightened(tumour, asked)
    found = changes(tumour, moved)
    assert found["brightness"] == pytest.approx(asked)
    assert (moved.mask == tumour.mask).all()
    assert (moved.origin == tumour.origin).all()
    assert (moved.image[~moved.mask] == 0).all()
    assert abs(found["extent"]) < 0.005 * values(tumour)["extent"]


def test_intensities_stay_where_a_classifier_sees_them():
    tumour = ellipse(gradient=0.03)
    for moved in (brightened(tumour, 0.5), brightened(tumour, -0.5), scaled(tumour, 1.0)):
        assert moved.image.min() >= 0
        assert moved.image.max() <= 1
    assert changes(tumour, brightened(tumour, 0.5))["brightness"] < 0.45


def test_small_ragged_tumours_are_moved_on_average_by_what_was_asked():
    config = PhantomConfig(patients=40)
    cohort = phantom_cohort(config, size=64, window=(-50, 300), spacing=(1.0, 1.0), seed=0)
    tumours = [
        Tumour.cut(image[..., 0], mask[..., 0], (0, 0), spacing)
        for image, mask, spacing in zip(cohort.images, cohort.masks, cohort.spacing)
    ]
    for name, move, asked in (("extent", scaled, 0.9), ("log_aspect_ratio", stretched, 0.13)):
        for sign in (-1, 1):
            moved = [(tumour, move(tumour, sign * asked)) for tumour in tumours]
            found = [changes(*pair) for pair in moved if pair[1] is not None]
            assert len(found) >= 38
            assert np.mean([each[name] for each in found]) == pytest.approx(sign * asked, rel=0.08)


def test_what_cannot_be_moved_is_none():
    dot = Tumour(np.full((1, 1), 0.5), np.ones((1, 1), bool), np.array([3, 4]), np.ones(2))
    line = Tumour(np.full((1, 9), 0.5), np.ones((1, 9), bool), np.array([3, 4]), np.ones(2))
    black = ellipse()._replace(image=np.zeros_like(ellipse().image))
    for tumour in (dot, line, black):
        assert scaled(tumour, 0.5) is None
        assert stretched(tumour, 0.1) is None
    almost_round = ellipse(axes=(15.0, 14.0))
    assert stretched(almost_round, -0.3) is None
    assert stretched(almost_round, 0.3) is not None
    assert scaled(ellipse(), -1.1 * values(ellipse())["extent"]) is None


def test_a_tumour_knows_whether_it_is_on_the_canvas():
    tumour = ellipse(size=48)
    rows, columns = tumour.origin + tumour.mask.shape
    assert tumour.is_on((rows, columns))
    assert not tumour.is_on((rows - 1, columns))
    assert not tumour._replace(origin=np.array([-1, 5])).is_on((200, 200))
