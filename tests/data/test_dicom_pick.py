"""Which slice, and which regions."""

import numpy as np
import pytest

from fgf_keras.data.dicom.rois import choose_rois
from fgf_keras.data.prepared.masks import MaskStack
from fgf_keras.data.prepared.pick import pick_slice
from fgf_keras.errors import DataError


def mask(areas):
    volume = np.zeros((len(areas), 4, 5), bool)
    for plane, area in zip(volume, areas):
        plane.ravel()[:area] = True
    return volume


@pytest.mark.parametrize(
    ("areas", "rule", "index"),
    [
        ((0, 3, 9, 9, 1), "largest_area", 2),
        ((0, 1, 1, 1, 1, 0), "middle", 3),
        ((0, 1, 1, 1, 0), "middle", 2),
        ((1, 0, 0, 1, 1), "middle", 3),
        ((0, 2, 2, 0), "centroid", 2),
        ((0, 3, 2, 0), "centroid", 1),
        ((0, 0, 9, 0, 9), "centroid", 2),
        ((9, 0, 0, 9), "centroid", 3),
        ((1,), "centroid", 0),
    ],
)
def test_rules_and_their_ties(areas, rule, index):
    volume = mask(areas)
    planes = {i: plane for i, plane in enumerate(volume) if plane.any()}
    assert pick_slice(volume, rule) == index
    assert pick_slice(MaskStack(volume.shape, planes), rule) == index


def test_the_slice_picked_is_never_empty(rng):
    for _ in range(200):
        volume = rng.random((9, 3, 3)) < 0.05
        if volume.any():
            for rule in ("largest_area", "middle", "centroid"):
                assert volume[pick_slice(volume, rule)].any()


def test_no_slice_and_no_rule():
    with pytest.raises(DataError, match="empty"):
        pick_slice(mask((0, 0)))
    with pytest.raises(DataError, match="largest_area, middle, centroid"):
        pick_slice(mask((1,)), "first")


def test_masks_unite():
    a = MaskStack((3, 1, 2), {1: np.array([[True, False]])})
    b = MaskStack((3, 1, 2), {0: np.array([[True, True]]), 1: np.array([[False, True]])})
    np.testing.assert_array_equal((a | b).areas(), [2, 2, 0])
    assert list((a | b).planes) == [0, 1]
    assert list(a.planes) == [1]


NAMES = {3: "GTV-N", 1: " gtv ", 8: "GTV", 2: "Cord"}


@pytest.mark.parametrize(
    ("rule", "numbers"),
    [
        ({"names": ["CORD "]}, (2,)),
        ({"pattern": "gtv-.*"}, (3,)),
        ({"pattern": "GTV.*", "strategy": "union"}, (3, 1, 8)),
        ({"names": ["gtv", "cord"], "strategy": "union"}, (1, 8, 2)),
        ({"names": ["absent", "gtv", "cord"], "strategy": "first"}, (1,)),
        ({"pattern": "GTV.*", "strategy": "first"}, (3,)),
        ({"names": ["GTV"], "strategy": "largest", "size": {1: 5, 8: 7}.get}, (8,)),
        ({"names": ["GTV"], "strategy": "largest", "size": lambda number: 1}, (1,)),
    ],
)
def test_regions_by_rule(rule, numbers):
    assert choose_rois(NAMES, **rule) == numbers


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"names": ["gtv"]}, r"2 regions fit 'gtv': 1 ' gtv ', 8 'GTV'"),
        ({"pattern": "gtv"}, "strategy: union, first or largest"),
        ({"pattern": "gt"}, r"No region fits the pattern 'gt'. There are: 3 'GTV-N'"),
        ({"names": ["gtv", "node"], "strategy": "union"}, "The union lacks 'node'"),
        ({"names": ["gtv"], "strategy": "best"}, "error, union, first, largest"),
        ({"names": ["gtv"], "strategy": "largest"}, "needs sizes"),
        ({"names": "gtv"}, "must be a list"),
        ({}, "either names or a pattern"),
        ({"names": ["gtv"], "pattern": "gtv"}, "either names or a pattern"),
        ({"pattern": "gtv("}, "no regular expression"),
    ],
)
def test_rules_that_do_not_single_out(rule, message):
    with pytest.raises(DataError, match=message):
        choose_rois(NAMES, **rule)


def test_nothing_to_choose_from():
    with pytest.raises(DataError, match="none with contours"):
        choose_rois({}, names=["GTV"])
