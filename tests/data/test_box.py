"""A volume in a box: copied where spacings agree, else interpolated in mm; never cut."""

import numpy as np
import pytest

from fgf_keras.data.box import Box, cropped
from fgf_keras.data.canvas import AIR_HU, bounds
from fgf_keras.data.refusal import SourceError

SPACING = (2.5, 0.8, 0.9)


def ellipsoid(shape, spacing, centre, axes):
    """Inside of an ellipsoid: centre and half axes in mm from the first voxel."""
    grid = np.stack(np.meshgrid(*(np.arange(n) * mm for n, mm in zip(shape, spacing)), indexing="ij"))
    scaled = (grid - np.reshape(centre, (3, 1, 1, 1))) / np.reshape(axes, (3, 1, 1, 1))
    return (scaled**2).sum(axis=0) <= 1


def extent(values, mask, spacing):
    """Root of the trace of the covariance in mm, weighted by values inside the mask."""
    position = np.argwhere(mask) * np.asarray(spacing)
    weights = values[mask > 0].astype(float)
    centre = weights @ position / weights.sum()
    return float(np.sqrt(weights @ ((position - centre) ** 2).sum(axis=1) / weights.sum()))


@pytest.fixture(scope="module")
def scan():
    rng = np.random.default_rng(0)
    shape = (40, 90, 80)
    mask = ellipsoid(shape, SPACING, (52.0, 33.0, 40.0), (19.0, 13.0, 16.0))
    z, y, x = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(shape, SPACING)), indexing="ij")
    hu = 40 + 0.8 * z + 0.5 * y - 0.3 * x
    return hu.astype(np.float32), mask, rng


def test_extent_and_mean_in_mm_survive_resampling(scan):
    hu, mask, _ = scan
    for spacing_mm in ((1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (3.0, 1.6, 1.6)):
        box_hu, box_mask = cropped(mask, hu.__getitem__, SPACING, shape=(48, 48, 48), spacing_mm=spacing_mm)
        assert box_hu.shape == box_mask.shape == (48, 48, 48)
        before, after = extent(hu, mask, SPACING), extent(box_hu, box_mask, spacing_mm)
        assert after == pytest.approx(before, rel=0.02)
        assert box_hu[box_mask > 0].mean() == pytest.approx(hu[mask].mean(), rel=0.02)
        volume = np.prod(spacing_mm) * box_mask.sum() / (np.prod(SPACING) * mask.sum())
        assert volume == pytest.approx(1, rel=0.04)
        # In the middle of the box, to half a voxel.
        first, edges = bounds(box_mask)
        assert (abs(first + (edges - 1) / 2 - 23.5) <= 0.5).all()


def test_a_linear_field_is_interpolated_exactly(scan):
    hu, mask, _ = scan
    box = Box.around(mask, SPACING, shape=(20, 30, 30), spacing_mm=(2.0, 1.1, 1.2))
    at = np.stack(np.meshgrid(*(box.corner[a] + box.ratio[a] * np.arange(n) for a, n in enumerate(box.shape)),
                              indexing="ij"))  # fmt: skip
    expected = 40 + sum(slope * mm * position for slope, mm, position in zip((0.8, 0.5, -0.3), SPACING, at))
    inside = box.hu(hu[box.source])
    # The Gaussian filter of coarser axes leaves a linear field as it is, away from the border of the block.
    np.testing.assert_allclose(inside[2:-2, 2:-2, 2:-2], expected[2:-2, 2:-2, 2:-2], atol=0.02)


def test_voxels_of_the_same_spacing_are_copied(scan):
    hu, mask, rng = scan
    noise = rng.normal(size=hu.shape).astype(np.float32)
    shape = (20, 40, 50)
    box_hu, box_mask = cropped(mask, noise.__getitem__, SPACING, shape=shape, spacing_mm=SPACING)
    first, edges = bounds(mask)
    start = first - (np.array(shape) - edges) // 2
    part = tuple(slice(a, a + n) for a, n in zip(start, shape))
    np.testing.assert_array_equal(box_hu, noise[part])
    np.testing.assert_array_equal(box_mask, mask[part])


def test_beyond_the_scan_is_air():
    mask = np.zeros((4, 10, 10), bool)
    mask[0:2, 0:3, 4:8] = True
    hu = np.full(mask.shape, 50, np.float32)
    for spacing_mm in ((1.0, 1.0, 1.0), (0.5, 0.7, 0.7)):
        box_hu, box_mask = cropped(mask, hu.__getitem__, (1, 1, 1), shape=(16, 16, 16), spacing_mm=spacing_mm)
        assert set(np.unique(box_hu)) == {AIR_HU, 50}
        assert (box_hu[box_mask > 0] == 50).all()
        volume = np.prod(spacing_mm) * box_mask.sum() / mask.sum()
        assert volume == pytest.approx(1, rel=0.25)


def test_a_tumour_larger_than_the_box_is_refused_with_the_size_it_needs(scan):
    hu, mask, _ = scan
    with pytest.raises(SourceError, match=r"spans 38x26x33 voxels, more than the box of 16x32x32") as error:
        cropped(mask, hu.__getitem__, SPACING, shape=(16, 32, 32), spacing_mm=(1, 1, 1))
    assert error.value.kind == "too_large"
    assert "data.size=[38, 32, 33]" in error.value.remedy


def test_a_tumour_that_vanishes_is_refused():
    mask = np.zeros((20, 20, 20), bool)
    mask[10, 10, 10] = True
    with pytest.raises(SourceError, match="Nothing of the 1 voxels") as error:
        cropped(mask, mask.astype(float).__getitem__, (1, 1, 1), shape=(16, 16, 16), spacing_mm=(5, 5, 5))
    assert error.value.kind == "vanished"


def test_only_slices_of_the_box_are_read(scan):
    hu, mask, _ = scan
    read = []
    cropped(mask, lambda i: read.append(i) or hu[i], SPACING, shape=(20, 48, 48), spacing_mm=SPACING)
    assert len(read) == 20
