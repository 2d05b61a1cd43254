"""Polygons around a mask give the mask back, whatever its shape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from fgf_keras.data.dicom.outline import outline
from fgf_keras.data.dicom.rasterise import fill_polygons


def mask_of(text):
    return np.array([[letter == "#" for letter in row] for row in text.split()])


@settings(max_examples=200, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_any_mask_comes_back(mask):
    polygons = outline(mask)
    np.testing.assert_array_equal(fill_polygons(polygons, mask.shape), mask)
    for polygon in polygons:
        assert len(np.unique(polygon, axis=0)) == len(polygon), "a polygon meets itself"
        turns = np.diff(np.vstack([polygon, polygon[:2]]), axis=0)
        assert ((turns != 0).sum(axis=1) == 1).all(), "a side is not along rows or columns"
        assert ((turns[1:] * turns[:-1]).sum(axis=1) == 0).all(), "a vertex is no corner"


@pytest.mark.parametrize(
    ("text", "polygons"),
    [
        ("..\n..", 0),
        ("#", 1),
        ("##\n##", 1),
        ("#.\n.#", 2),
        (".#\n#.", 2),
        ("###\n#.#\n###", 2),
        ("#####\n#...#\n#.#.#\n#...#\n#####", 3),
        ("####\n#.##\n##.#\n####", 3),
    ],
)
def test_pieces_and_holes_have_polygons_of_their_own(text, polygons):
    assert len(outline(mask_of(text))) == polygons


def test_the_outline_of_a_pixel_is_its_corners():
    (polygon,) = outline(mask_of("...\n..#"))
    np.testing.assert_array_equal(polygon, [(0.5, 1.5), (0.5, 2.5), (1.5, 2.5), (1.5, 1.5)])
