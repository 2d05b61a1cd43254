"""Three orthogonal slices of a volume: which voxels, which way up, at which scale."""

import numpy as np

from fgf_keras.pictures.panels import OwnScales, panel_pixels, patient_panels, see_through_pixels
from fgf_keras.pictures.planes import GAP, LAYOUT, Planes, volume_box

SHAPE, SPACING = (4, 6, 5), (2.0, 1.0, 1.0)


def mask_at(shape, where):
    mask = np.zeros(shape)
    mask[where] = 1
    return mask


def test_slices_go_through_the_centre_and_head_is_up():
    field = np.arange(np.prod(SHAPE), dtype=float).reshape(SHAPE)
    planes = Planes(mask_at(SHAPE, (slice(2, 3), slice(1, 4), slice(3, 4))), SPACING)
    square = planes.of(field)
    # Axial 6x5 above coronal 8x5 (slices of 2 mm take two pixels) beside sagittal 8x6.
    assert square.shape == (6 + GAP + 8, 6 + GAP + 8)
    left = (square.shape[1] - (5 + GAP + 6)) // 2
    np.testing.assert_array_equal(square[:6, left : left + 5], field[2])
    coronal = np.repeat(field[::-1, 2], 2, axis=0)
    np.testing.assert_array_equal(square[7:, left : left + 5], coronal)
    sagittal = np.repeat(field[::-1, :, 3], 2, axis=0)
    np.testing.assert_array_equal(square[7:, left + 6 : left + 12], sagittal)
    assert np.isnan(square).sum() == square.size - 30 - 40 - 48
    assert not planes.marks_of(field < 0).any()


def test_thin_slices_are_not_skipped_and_rows_are_stretched():
    planes = Planes(np.ones((3, 2, 2)), (1.0, 3.0, 3.0))
    square = planes.of(np.arange(12.0).reshape(3, 2, 2))
    assert np.isfinite(square).sum() == 6 * 6 + 2 * (3 * 6)


def test_the_box_has_a_margin_inside_the_volume():
    box = volume_box(mask_at((10, 12, 9), (slice(4, 6), slice(0, 3), slice(8, 9))), 2)
    assert box == (slice(2, 8), slice(0, 5), slice(6, 9))


def panels_of(shape=(8, 20, 20)):
    rng = np.random.default_rng(0)
    mask = mask_at((*shape, 1), (slice(3, 5), slice(6, 12), slice(7, 13)))
    fields = {name: rng.normal(size=(*shape, 1)) * mask for name in ("gradient", "explained")}
    fields |= {"image": rng.random((*shape, 1)), "mask": mask, "features": [fields["gradient"]]}
    fields |= {"seen": fields["image"] * mask, "spacing": np.array(SPACING)}
    boundary = fields["seen"].copy()
    # Not on any of the three slices: captions are about the whole volume.
    boundary[3, 6, 7] = 1.5
    shares = {"a": 0.5, "joint": 0.6}
    return patient_panels(fields | {"boundary": boundary}, ["a"], shares, shares, "reached", OwnScales)


def test_panels_of_a_volume_are_drawn_like_those_of_a_slice():
    shown = panels_of()
    titles = [panel.title for panel in shown.panels]
    assert titles[0] == "volume"
    assert titles[-1] == "boundary − volume"
    assert shown.panels[0].caption == LAYOUT
    assert "axial (top), coronal (bottom left) and sagittal" in shown.note
    assert shown.panels[-2].caption == "reached, 1% outside"
    for panel in shown.panels:
        assert panel.field.shape == shown.mask.shape
        pixels, see_through = (f(panel, shown.mask, 100) for f in (panel_pixels, see_through_pixels))
        assert pixels.shape[:2] == see_through.shape[:2]
        # Nothing is drawn between the slices.
        assert (pixels[0, -1] == 255).all()
        assert see_through[0, -1, 3] == 0


def test_the_largest_of_the_whole_volume_sets_the_scale():
    rng = np.random.default_rng(1)
    field = rng.normal(size=(4, 8, 8))
    assert OwnScales(field, np.ones((4, 8, 8)), field).gradient(field)[1][1] == abs(field).max()
