"""From a slice of any size to the canvas."""

import numpy as np
import pytest

from fgf_keras.data.canvas import AIR_HU, bounds, place, resample
from fgf_keras.data.measurements import measurements
from fgf_keras.data.refusal import SourceError


@pytest.fixture
def slice_and_mask(rng):
    hu = rng.integers(-900, 900, (30, 50)).astype(np.float32)
    mask = np.zeros((30, 50), bool)
    mask[3:10, 38:49] = True
    mask[5, 40] = False
    return hu, mask


@pytest.mark.parametrize("size", [16, 17, 40, 64, 81])
def test_the_tumour_is_in_the_middle_and_no_pixel_is_lost(slice_and_mask, size):
    hu, mask = slice_and_mask
    image, inside = place(hu, mask, size=size, centre="tumour")
    assert image.shape == inside.shape == (size, size)
    np.testing.assert_array_equal(image[inside > 0], hu[mask])
    (row, column), (rows, columns) = bounds(inside)
    assert abs(2 * row + rows - size) <= 1
    assert abs(2 * column + columns - size) <= 1


def test_around_the_tumour_lies_what_lay_there_and_beyond_the_image_air(slice_and_mask):
    hu, mask = slice_and_mask
    image, inside = place(hu, mask, size=64, centre="tumour")
    row, column = bounds(inside)[0] - bounds(mask)[0]
    expected = np.full((200, 200), AIR_HU, np.float32)
    expected[64 : 64 + 30, 64 : 64 + 50] = hu
    np.testing.assert_array_equal(image, expected[64 - row : 128 - row, 64 - column : 128 - column])


def test_the_middle_of_the_image_stays_the_middle(slice_and_mask):
    hu, mask = slice_and_mask
    image, inside = place(hu, mask, size=60, centre="image")
    np.testing.assert_array_equal(image[15:45, 5:55], hu)
    np.testing.assert_array_equal(inside[15:45, 5:55], mask)
    assert (image[:15] == AIR_HU).all()
    image, _ = place(hu, mask, size=49, centre="image")
    np.testing.assert_array_equal(image[10:40], hu[:, :49])


@pytest.mark.parametrize(("size", "centre"), [(10, "tumour"), (40, "image")])
def test_a_tumour_that_does_not_fit_is_an_error_whose_remedy_works(slice_and_mask, size, centre):
    hu, mask = slice_and_mask
    with pytest.raises(SourceError) as caught:
        place(hu, mask, size=size, centre=centre)
    assert caught.value.kind == "too_large"
    assert "7x11" in caught.value.reason
    needed = int(caught.value.remedy.split("data.size=")[1].split()[0])
    _, inside = place(hu, mask, size=needed, centre=centre)
    assert inside.sum() == mask.sum()


@pytest.mark.parametrize("spacing_mm", [0.5, 0.8, 1.0, 2.0, 3.1])
def test_resampling_keeps_places_and_areas(spacing_mm):
    rows, columns = np.mgrid[:60, :40]
    spacing = (1.0, 1.5)
    # A plane is reproduced exactly by linear interpolation, and no Gaussian changes it away from borders.
    hu = (3.0 * rows * spacing[0] - 2.0 * columns * spacing[1]).astype(np.float32)
    mask = np.hypot((rows - 30) * spacing[0], (columns - 20) * spacing[1]) < 15
    image, inside = resample(hu, mask, spacing, spacing_mm)
    assert image.shape == (round(60 / spacing_mm), round(60 / spacing_mm))
    y, x = ((np.arange(len(image)) + 0.5) * spacing_mm for _ in range(2))
    expected = 3.0 * (y[:, None] - 0.5) - 2.0 * (x[None] - 0.75)
    middle = slice(len(image) // 4, -len(image) // 4)
    np.testing.assert_allclose(image[middle, middle], expected[middle, middle], atol=1e-3)
    before, after = measurements(hu, mask, spacing), measurements(image, inside, (spacing_mm, spacing_mm))
    assert after["area_mm2"] == pytest.approx(before["area_mm2"], rel=0.05)
    assert after["mean_hu"] == pytest.approx(before["mean_hu"], abs=1.5)


def test_the_same_spacing_changes_nothing(slice_and_mask):
    hu, mask = slice_and_mask
    image, inside = resample(hu, mask, (0.7, 0.7), 0.7)
    np.testing.assert_array_equal(image, hu)
    np.testing.assert_array_equal(inside, mask)


def test_a_tumour_that_vanishes_is_refused():
    mask = np.zeros((40, 40), bool)
    mask[7, 7] = True
    with pytest.raises(SourceError, match="Nothing of the 1 pixels"):
        resample(np.zeros((40, 40), np.float32), mask, (1, 1), 8.0)


def test_measurements_of_a_rectangle():
    mask = np.zeros((20, 30), bool)
    mask[4:8, 5:25] = True
    hu = np.where(mask, np.arange(600).reshape(20, 30), -5000)
    found = measurements(hu, mask, (2.0, 0.5))
    # The population variance of n equidistant points is (n² - 1)/12.
    minor, major = np.sqrt((20**2 - 1) / 12) * 0.5, np.sqrt((4**2 - 1) / 12) * 2
    major, minor = max(major, minor), min(major, minor)
    assert found["pixels"] == 80
    assert found["area_mm2"] == pytest.approx(80)
    assert found["mean_hu"] == pytest.approx(hu[mask].mean())
    assert found["major_axis_mm"] == pytest.approx(4 * major)
    assert found["minor_axis_mm"] == pytest.approx(4 * minor)
    assert found["log_aspect_ratio"] == pytest.approx(np.log(major / minor))


@pytest.mark.parametrize("pixels", [[(3, 3)], [(3, k) for k in range(9)], [(k, k) for k in range(7)]])
def test_a_line_has_no_aspect_ratio(pixels):
    mask = np.zeros((12, 12), bool)
    mask[tuple(np.transpose(pixels))] = True
    found = measurements(np.ones((12, 12)), mask, (0.3, 0.7))
    assert found["minor_axis_mm"] == 0
    assert found["log_aspect_ratio"] is None
