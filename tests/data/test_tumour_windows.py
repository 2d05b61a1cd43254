"""A window holds its tumour at every angle, and not much more."""

import numpy as np
import pytest

from fgf_keras.data.tumour_windows import tumour_window


def bar(size=40, row=12, column=20):
    """A tumour of 5 by 13 pixels."""
    mask = np.zeros((size, size), np.uint8)
    mask[row : row + 5, column : column + 13] = 1
    return mask


def test_without_rotation_it_is_the_bounding_box():
    origin, edges, centre = tumour_window(bar(), (1.0, 1.0))
    assert (*origin, *edges) == (12, 20, 5, 13)
    np.testing.assert_allclose(centre, [14, 26])


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("degrees", [5.0, 60.0, 180.0])
def test_corners_stay_inside_at_every_angle_and_touch_the_margin_at_one(spacing, degrees):
    mask = bar(size=200, row=98, column=94)
    origin, edges, centre = tumour_window(mask, spacing, degrees)
    corners = (np.argwhere(mask) - centre) * spacing
    angles = np.radians(np.linspace(-degrees, degrees, 721))
    turned = np.stack(
        [
            np.multiply.outer(np.cos(angles), corners[:, 0])
            + np.multiply.outer(np.sin(angles), corners[:, 1]),
            np.multiply.outer(np.cos(angles), corners[:, 1])
            - np.multiply.outer(np.sin(angles), corners[:, 0]),
        ],
        axis=-1,
    )
    places = centre + turned / spacing
    before = places.min(axis=(0, 1)) - origin
    after = origin + edges - 1 - places.max(axis=(0, 1))
    widest = 2 + np.hypot(*spacing) / spacing
    for gap in (before, after):
        assert (gap >= 1).all()
        assert (gap <= widest + 1e-3).all()


def test_it_ends_where_the_canvas_ends():
    mask = np.zeros((30, 20), np.uint8)
    mask[:3, 17:] = 1
    origin, edges, _ = tumour_window(mask, (1.0, 1.0), 90.0)
    assert origin[0] == 0
    assert origin[1] + edges[1] == 20
