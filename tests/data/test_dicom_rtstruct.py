"""Contours become the mask that they enclose, on the slice where they lie; nothing is left out in silence."""

import numpy as np
import pytest
from dicom_fixtures import L_SHAPE, ORIENTATIONS, Stack, l_mask
from pydicom import dcmread
from pydicom.uid import generate_uid

from fgf_keras.data.dicom.roi_mask import rasterise_roi
from fgf_keras.data.dicom.rtstruct import read_structure_set
from fgf_keras.data.dicom.series import read_series
from fgf_keras.data.refusal import DicomError

SQUARE = [(2.5, 3.5), (2.5, 7.5), (6.5, 7.5), (6.5, 3.5)]
INNER = [(3.5, 4.5), (3.5, 5.5), (4.5, 5.5), (4.5, 4.5)]


def square_mask(shape=(12, 16)):
    mask = np.zeros(shape, bool)
    mask[3:7, 4:8] = True
    return mask


@pytest.fixture
def stack(tmp_path):
    return Stack().write(tmp_path / "ct")


def rasterise(stack, contours, tmp_path, **options):
    path = stack.structure_set(tmp_path / "rs.dcm", [(4, "GTV", contours)])
    return rasterise_roi(read_structure_set(path), 4, read_series(stack.files), **options)


def refusal(stack, contours, tmp_path):
    with pytest.raises(DicomError) as caught:
        rasterise(stack, contours, tmp_path)
    return caught.value.kind


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_mask_in_every_orientation(tmp_path, orientation):
    stack = Stack(orientation).write(tmp_path / "ct")
    # Heights grow along the normal; the last contour is written first.
    contours = [stack.points(L_SHAPE, stack.heights[i]) for i in (3, 2, 1)]
    result = rasterise(stack, contours, tmp_path)
    expected = np.zeros(stack.shape, bool)
    expected[1:4] = l_mask(stack.shape[1:])
    np.testing.assert_array_equal(result.volume(), expected)
    assert result.counts.used == 3
    assert not result.counts.warnings()


def test_contours_of_uneven_slices_go_to_the_nearest(tmp_path):
    stack = Stack(heights=[0, 2, 4, 7, 9.5]).write(tmp_path / "ct")
    contours = [stack.points(SQUARE, h) for h in (2.9, 5.4, 7.0)]
    result = rasterise(stack, contours, tmp_path)
    assert list(result.planes) == [1, 2, 3]


def test_contours_outside_and_halfway_are_skipped_and_counted(stack, tmp_path):
    contours = [stack.points(SQUARE, h) for h in (-1.3, 11.3, 40, 3.75, 5)]
    result = rasterise(stack, contours, tmp_path)
    assert list(result.planes) == [2]
    assert result.counts.warnings() == {"outside_stack": 3, "between_slices": 1}


def test_contours_finer_than_the_slices_do_not_make_a_ring(stack, tmp_path):
    contours = [stack.points(SQUARE, 5), stack.points(INNER, 5.9), stack.points(INNER, 4.1)]
    result = rasterise(stack, contours, tmp_path)
    np.testing.assert_array_equal(result.planes[2], square_mask())
    assert result.counts.warnings() == {"between_slices": 2}


def test_of_contours_equally_far_from_a_slice_the_lower_counts(stack, tmp_path):
    result = rasterise(stack, [stack.points(INNER, 5.5), stack.points(SQUARE, 4.5)], tmp_path)
    np.testing.assert_array_equal(result.planes[2], square_mask())


def test_a_hole_is_outside(stack, tmp_path):
    result = rasterise(stack, [stack.points(SQUARE, 5), stack.points(INNER, 5)], tmp_path)
    expected = square_mask()
    expected[4, 5] = False
    np.testing.assert_array_equal(result.planes[2], expected)
    assert not result.counts.warnings()


def test_a_duplicate_does_not_erase_its_twin(stack, tmp_path):
    turned = np.roll(SQUARE, 2, axis=0)[::-1]
    closed = [*SQUARE, SQUARE[0]]
    contours = [stack.points(c, 5) for c in (SQUARE, SQUARE, turned, closed)]
    result = rasterise(stack, contours, tmp_path)
    np.testing.assert_array_equal(result.planes[2], square_mask())
    assert result.counts.warnings() == {"duplicate": 3}


def test_the_same_contour_on_two_slices_is_no_duplicate(stack, tmp_path):
    result = rasterise(stack, [stack.points(SQUARE, h) for h in (0, 2.5)], tmp_path)
    assert list(result.planes) == [0, 1]
    assert not result.counts.warnings()


def test_partly_overlapping_contours_are_counted(stack, tmp_path):
    result = rasterise(stack, [stack.points(SQUARE, 5), stack.points(np.add(SQUARE, 1), 5)], tmp_path)
    assert result.counts.warnings() == {"overlapping": 1}


@pytest.mark.parametrize(
    "vertices",
    [[(3, 4)], [(3, 4), (7, 9)], [(3, 4), (7, 9), (3, 4)], [(3, 4), (5, 6), (7, 8), (4, 5)], [(3, 4)] * 5],
)
def test_degenerate_contours_are_skipped_and_counted(stack, tmp_path, vertices):
    result = rasterise(stack, [stack.points(vertices, 5), stack.points(SQUARE, 5)], tmp_path)
    np.testing.assert_array_equal(result.planes[2], square_mask())
    assert result.counts.warnings() == {"degenerate": 1}


def test_a_contour_between_pixel_centres_leaves_no_plane(stack, tmp_path):
    result = rasterise(stack, [stack.points([(3.1, 3.1), (3.1, 3.9), (3.9, 3.9)], 5)], tmp_path)
    assert not result
    assert result.counts.used == 1


def test_only_closed_contours_have_an_inside(stack, tmp_path):
    points = stack.points(SQUARE, 5)
    contours = [(points, "OPEN_PLANAR", ()), (points, "POINT", ()), (points, "CLOSEDPLANAR_XOR", ())]
    result = rasterise(stack, contours, tmp_path)
    np.testing.assert_array_equal(result.planes[2], square_mask())
    assert result.counts.warnings() == {"not_closed": 2}


def test_parts_beyond_the_image_are_clipped_and_counted(stack, tmp_path):
    wide = [(-30.5, 12.5), (-30.5, 40), (2.5, 40), (2.5, 12.5)]
    result = rasterise(stack, [stack.points(wide, 5)], tmp_path)
    expected = np.zeros((12, 16), bool)
    expected[:3, 13:] = True
    np.testing.assert_array_equal(result.planes[2], expected)
    assert result.counts.warnings() == {"clipped": 1}


def test_slices_without_a_contour_inside_the_mask_are_counted(stack, tmp_path):
    result = rasterise(stack, [stack.points(SQUARE, h) for h in (0, 7.5)], tmp_path)
    assert result.counts.warnings() == {"undrawn_slices": 2}


def test_contours_across_the_slices_are_refused(stack, tmp_path):
    points = stack.points(SQUARE, 5)
    points[0] += stack.normal * 0.6
    assert refusal(stack, [points], tmp_path) == "not_parallel"


def test_named_images_are_a_cross_check_only(stack, tmp_path):
    points = [stack.points(SQUARE, h) for h in stack.heights[:4]]
    uids = [(stack.sops[0],), (stack.sops[4],), (generate_uid(),), ()]
    contours = [(p, "CLOSED_PLANAR", u) for p, u in zip(points, uids)]
    result = rasterise(stack, contours, tmp_path)
    assert list(result.planes) == [0, 1, 2, 3]
    counts = result.counts
    assert (counts.matched, counts.contradicted, counts.unmatched) == (1, 1, 1)
    assert counts.warnings() == {"contradicted": 1}


def test_regions_are_joined_by_number(stack, tmp_path):
    rois = [
        (7, "GTV", [stack.points(SQUARE, 0)]),
        (2, " GTV ", [stack.points(L_SHAPE, 5)]),
        (5, "empty", []),
        (9, "undrawn", None),
    ]
    structures = read_structure_set(stack.structure_set(tmp_path / "rs.dcm", rois))
    series = read_series(stack.files)
    assert {n: r.name for n, r in structures.rois.items()} == {7: "GTV", 2: "GTV", 5: "empty", 9: "undrawn"}
    assert structures.names == {7: "GTV", 2: "GTV"}
    np.testing.assert_array_equal(rasterise_roi(structures, 7, series).planes[0], square_mask())
    np.testing.assert_array_equal(rasterise_roi(structures, 2, series).planes[2], l_mask((12, 16)))
    assert not rasterise_roi(structures, 5, series)
    assert not rasterise_roi(structures, 9, series)
    with pytest.raises(DicomError, match="no ROI 1"):
        rasterise_roi(structures, 1, series)


def test_another_frame_of_reference_is_refused_unless_told_otherwise(stack, tmp_path):
    frame, stack.frame = stack.frame, generate_uid()
    contours = [stack.points(SQUARE, 5)]
    path = stack.structure_set(tmp_path / "rs.dcm", [(1, "GTV", contours)])
    stack.frame = frame
    structures, series = read_structure_set(path), read_series(stack.files)
    with pytest.raises(DicomError) as caught:
        rasterise_roi(structures, 1, series)
    assert caught.value.kind == "other_frame"
    assert rasterise_roi(structures, 1, series, same_frame=False)


def edited(stack, tmp_path, edit):
    contours = [stack.points(SQUARE, 5)]
    path = stack.structure_set(tmp_path / "rs.dcm", [(1, "bad", contours), (2, "good", contours)])
    dataset = dcmread(path)
    # The fixture writes the contours of the last region first.
    edit(dataset.ROIContourSequence[1])
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        (lambda drawn: setattr(drawn.ContourSequence[0], "NumberOfContourPoints", 5), "bad_contour"),
        (lambda drawn: drawn.ContourSequence[0].ContourData.pop(), "bad_contour"),
        (lambda drawn: delattr(drawn.ContourSequence[0], "ContourGeometricType"), "missing_tag"),
        (lambda drawn: drawn.ContourSequence[0].ContourData.__setitem__(0, "1e30"), "bad_contour"),
    ],
)
def test_a_damaged_region_does_not_take_the_others_with_it(stack, tmp_path, edit, kind):
    structures = read_structure_set(edited(stack, tmp_path, edit))
    series = read_series(stack.files)
    with pytest.raises(DicomError) as caught:
        rasterise_roi(structures, 1, series)
    assert caught.value.kind == kind
    np.testing.assert_array_equal(rasterise_roi(structures, 2, series).planes[2], square_mask())


def test_two_sets_of_contours_for_one_region_are_refused(stack, tmp_path):
    path = edited(stack, tmp_path, lambda drawn: setattr(drawn, "ReferencedROINumber", 2))
    structures = read_structure_set(path)
    with pytest.raises(DicomError, match="two sets of contours"):
        _ = structures.roi(2).contours


def test_two_regions_of_one_number_are_refused(stack, tmp_path):
    path = stack.structure_set(tmp_path / "rs.dcm", [(1, "a", []), (1, "b", [])])
    with pytest.raises(DicomError, match="Two regions have the ROINumber 1"):
        read_structure_set(path)


def test_contours_of_no_region_are_counted(stack, tmp_path):
    path = edited(stack, tmp_path, lambda drawn: setattr(drawn, "ReferencedROINumber", 8))
    assert read_structure_set(path).orphans == 1


def test_every_truncation_is_noticed(stack, tmp_path):
    rois = [(n, f"roi {n}", [stack.points(SQUARE, h) for h in stack.heights]) for n in (1, 2)]
    path = stack.structure_set(tmp_path / "rs.dcm", rois)
    whole = path.read_bytes()
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(DicomError):
            read_structure_set(path)


def test_other_files_are_no_structure_sets(stack):
    with pytest.raises(DicomError, match="not a structure set but CT"):
        read_structure_set(stack.files[0])
