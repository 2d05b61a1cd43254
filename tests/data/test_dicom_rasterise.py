"""A pixel is inside a polygon exactly when its centre is."""

import time
from fractions import Fraction

import numpy as np
import pytest
from dicom_fixtures import L_SHAPE, l_mask
from hypothesis import given, settings
from hypothesis import strategies as st

from fgf_keras.data.dicom.rasterise import fill_polygons
from fgf_keras.errors import DataError

SHAPE = (7, 9)
anywhere = st.floats(-3, 12, allow_subnormal=False)
# Quarters hit centres and edges exactly.
quarters = st.integers(-12, 48).map(lambda n: n / 4)


def polygons(coordinate):
    vertex = st.tuples(coordinate, coordinate)
    return st.lists(st.lists(vertex, min_size=3, max_size=9), min_size=1, max_size=3)


def brute_force(contours, shape):
    """Centre by centre and edge by edge, in exact arithmetic."""
    mask = np.zeros(shape, bool)
    for row, column in np.ndindex(*shape):
        for contour in contours:
            exact = [(Fraction(r), Fraction(c)) for r, c in contour]
            for (r0, c0), (r1, c1) in zip(exact, exact[1:] + exact[:1]):
                if (r0 <= row) != (r1 <= row):
                    mask[row, column] ^= c0 + (row - r0) * (c1 - c0) / (r1 - r0) <= column
    return mask


@settings(max_examples=150, deadline=None)
@given(polygons(anywhere) | polygons(quarters))
def test_any_polygons_against_every_centre(contours):
    filled = fill_polygons([np.array(c) for c in contours], SHAPE)
    np.testing.assert_array_equal(filled, brute_force(contours, SHAPE))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(quarters, quarters), min_size=4, max_size=10), st.data())
def test_polygons_that_share_an_edge_neither_both_claim_nor_both_miss_a_centre(ring, data):
    cut = data.draw(st.integers(2, len(ring) - 2))
    halves = [np.array(ring[: cut + 1]), np.array(ring[cut:] + ring[:1])]
    parts = [fill_polygons([half], SHAPE) for half in halves]
    np.testing.assert_array_equal(parts[0] ^ parts[1], fill_polygons([np.array(ring)], SHAPE))


def test_squares_on_centres_tile_the_plane():
    square = np.array([(0, 0), (0, 2), (2, 2), (2, 0)])
    total = sum(
        fill_polygons([square + np.array((r, c))], (6, 6)).astype(int)
        for r in range(0, 6, 2)
        for c in range(0, 6, 2)
    )
    assert (total == 1).all()
    np.testing.assert_array_equal(np.argwhere(fill_polygons([square + 1], (6, 6)))[[0, -1]], [[1, 1], [2, 2]])


@pytest.mark.parametrize("turned", [False, True])
def test_direction_does_not_matter(turned):
    contour = np.array(L_SHAPE)[:: -1 if turned else 1]
    np.testing.assert_array_equal(fill_polygons([contour], (12, 16)), l_mask((12, 16)))


def test_a_hole_and_a_keyhole_are_the_same():
    outer = [(0.5, 0.5), (0.5, 8.5), (8.5, 8.5), (8.5, 0.5)]
    hole = [(2.5, 2.5), (2.5, 5.5), (5.5, 5.5), (5.5, 2.5)]
    keyhole = [*outer, outer[0], *hole, hole[0]]
    expected = np.zeros((10, 10), bool)
    expected[1:9, 1:9] = True
    expected[3:6, 3:6] = False
    np.testing.assert_array_equal(fill_polygons([np.array(outer), np.array(hole)], (10, 10)), expected)
    np.testing.assert_array_equal(fill_polygons([np.array(keyhole)], (10, 10)), expected)


def test_parts_outside_the_image_are_cut_off():
    big = np.array([(-1e6, -1e6), (-1e6, 1e6), (1e6, 1e6), (1e6, -1e6)])
    assert fill_polygons([big], (4, 5)).all()
    assert not fill_polygons([big + 3e6], (4, 5)).any()
    assert not fill_polygons([], (4, 5)).any()


@pytest.mark.parametrize(
    "contour", [[(0, 0), (0, np.nan), (1, 1)], [(0, 0), (0, 1e300), (1, 1)], [(0, 0, 0)]]
)
def test_vertices_that_are_no_points_of_a_plane_are_refused(contour):
    with pytest.raises(DataError, match="contour"):
        fill_polygons([np.array(contour)], (4, 4))


def test_a_large_contour_takes_milliseconds():
    angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    circle = 256 + 200 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    begin = time.perf_counter()
    area = fill_polygons([circle], (512, 512)).sum()
    assert time.perf_counter() - begin < 0.5
    assert abs(area - np.pi * 200**2) < 60
