"""What real archives hold, each with the right answer: public bug reports of DICOM tools."""

import unicodedata

import numpy as np
import pytest
from dicom_fixtures import L_SHAPE, Stack, ds_list, l_mask
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from test_dicom_match import companion, read

from fgf_keras.data.dicom.index import index_folder
from fgf_keras.data.prepared.source import RejectedPatient, SourceSlice

GRID = (12, 16)
SMALL = [(2.5, 2.5), (2.5, 4.5), (4.5, 4.5), (4.5, 2.5)]
ISLAND = [(1.5, 12.5), (1.5, 14.5), (4.5, 14.5), (4.5, 12.5)]


@pytest.fixture
def stack(tmp_path):
    return Stack().write(tmp_path / "ct")


def drawn(stack, *extra, largest=2):
    """Small contours on slices 1 to 3, the L on the largest one, and others."""
    shapes = {1: SMALL, 2: SMALL, 3: SMALL} | {largest: L_SHAPE}
    return [stack.points(shape, stack.heights[i]) for i, shape in shapes.items()] + list(extra)


def read_l(root, index=2, stored=None, warnings=None, **keys):
    """The slice of the L, found as it is."""
    found = read(root, **keys)
    assert isinstance(found, SourceSlice), found
    assert found.index == index
    np.testing.assert_array_equal(found.mask, l_mask(GRID))
    if stored is not None:
        np.testing.assert_array_equal(found.hu, stored - 1024.0)
    if warnings is not None:
        assert found.warnings == warnings
    return found


# --- contours


def again(change):
    """The L drawn once more, with other digits or other points."""
    return change(np.roll(np.array(L_SHAPE), 2, axis=0))


def with_midpoints(vertices):
    middles = (vertices + np.roll(vertices, -1, axis=0)) / 2
    return np.stack([vertices, middles], axis=1).reshape(-1, 2)


@pytest.mark.parametrize("largest", [2, 3], ids=["inside", "at the end"])
@pytest.mark.parametrize(
    "change",
    [lambda v: v + 0.006, lambda v: np.round(v, 1), with_midpoints, lambda v: v[::-1] - 1e-4],
    ids=["shifted by rounding", "fewer digits", "midpoints", "other direction"],
)
def test_a_contour_that_stands_twice_does_not_erase_its_plane(stack, tmp_path, change, largest):
    twice = stack.points(again(change), stack.heights[largest])
    stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack, twice, largest=largest))])
    read_l(tmp_path, largest, warnings={"duplicate": 1})


def test_a_hole_is_a_hole_and_no_duplicate(stack, tmp_path):
    hole = stack.points([(3.5, 3.5), (3.5, 5.5), (5.5, 5.5), (5.5, 3.5)], 5.0)
    stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack, hole))])
    expected = l_mask(GRID)
    expected[4:6, 4:6] = False
    np.testing.assert_array_equal(read(tmp_path).mask, expected)


@pytest.mark.parametrize("named", [True, False])
def test_islands_of_a_slice_whose_heights_differ_are_one_plane_if_both_name_it(stack, tmp_path, named):
    def on_slice(points):
        return (points, "CLOSED_PLANAR", [stack.sops[2]]) if named else points

    island = on_slice(stack.points(ISLAND, 5.2))
    # One that would lie in the other is a contour of another height, whatever it names.
    inner = on_slice(stack.points(SMALL, 5.3))
    body = [on_slice(stack.points(L_SHAPE, 5.0))]
    stack.structure_set(tmp_path / "rs", [(1, "GTV", [*body, inner, island])])
    found = read(tmp_path)
    expected = l_mask(GRID)
    if named:
        expected[2:5, 13:15] = True
    np.testing.assert_array_equal(found.mask, expected)
    warned = {"between_slices": 1, "beside_plane": 1} if named else {"between_slices": 2}
    assert found.warnings == warned


def test_a_contour_without_its_number_of_points_is_read(stack, tmp_path):
    path = stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack))])
    ds = dcmread(path)
    for contour in ds.ROIContourSequence[0].ContourSequence:
        del contour.NumberOfContourPoints
    ds.save_as(path)
    read_l(tmp_path, warnings={})


# --- which series, which frame of reference


def header(frame, series):
    """ReferencedFrameOfReferenceSequence of a structure set on one series."""
    referenced = Dataset()
    referenced.SeriesInstanceUID = series
    study = Dataset()
    study.RTReferencedSeriesSequence = [referenced]
    item = Dataset()
    item.FrameOfReferenceUID, item.RTReferencedStudySequence = frame, [study]
    return {"ReferencedFrameOfReferenceSequence": [item]}


def test_of_two_reconstructions_the_one_that_the_header_names_is_taken(stack, tmp_path):
    other = companion(stack).write(tmp_path / "other kernel")
    for series in (stack.series, other.series):
        stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack))], **header(stack.frame, series))
        assert read_l(tmp_path).source_uid == series


@pytest.mark.parametrize("same", [True, False])
def test_a_region_without_a_frame_of_reference_has_that_of_its_structure_set(stack, tmp_path, same):
    frame = stack.frame if same else generate_uid()
    path = stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack))], **header(frame, stack.series))
    ds = dcmread(path)
    del ds.StructureSetROISequence[0].ReferencedFrameOfReferenceUID
    ds.save_as(path)
    if same:
        read_l(tmp_path)
        return
    refused = read(tmp_path)
    assert "another frame of reference" in refused.reason
    assert "data.roi.ignore_frame_of_reference: true" in refused.remedy
    read_l(tmp_path, roi={"names": ["GTV"], "ignore_frame_of_reference": True})


@pytest.mark.parametrize("fits", [True, False], ids=["fits", "does not fit"])
def test_a_dose_report_beside_the_ct_does_not_hide_why_there_is_no_region(stack, tmp_path, fits):
    report = companion(stack, shape=(1, 12, 16))
    changes = {0: {"ImagePositionPatient": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}}
    report.write(tmp_path / "report", changes=changes)
    if not fits:
        stack.frame = generate_uid()
    stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack))])
    if fits:
        assert read_l(tmp_path).warnings == {"series_refused": 1}
    else:
        assert "another frame of reference" in read(tmp_path).reason


@pytest.mark.parametrize("frames", [1, 5])
def test_an_enhanced_ct_is_called_what_it_is(tmp_path, frames):
    stack = Stack(shape=(1, 12, 16))
    enhanced = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1", "PixelSpacing": None, "NumberOfFrames": frames}
    stack.write(tmp_path / "ct", changes={0: enhanced | {"stored": np.tile(stack.stored[0], (frames, 1))}})
    stack.structure_set(tmp_path / "rs", [(1, "GTV", [stack.points(L_SHAPE, 0)])])
    refused = read(tmp_path)
    assert "An Enhanced CT holds its geometry frame by frame" in refused.reason
    assert "Convert the series to classic CT" in refused.remedy


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("rule", [{"names": ["tumör_GTV"]}, {"pattern": "Tumör.*"}], ids=["names", "pattern"])
def test_accents_written_apart_are_the_same_name(stack, tmp_path, form, rule):
    name = unicodedata.normalize(form, "Tumör_GTV")
    stack.structure_set(tmp_path / "rs", [(1, name, drawn(stack))], SpecificCharacterSet="ISO_IR 192")
    read_l(tmp_path, roi=rule)


def test_a_backslash_in_a_name_is_a_part_of_it(stack, tmp_path):
    stack.structure_set(tmp_path / "rs", [(1, "GTV\\2", drawn(stack))])
    read_l(tmp_path, roi={"names": ["GTV\\2"]})


# --- the stack


def without(tmp_path, heights, missing, shapes):
    """A series that lost slices, with the contours that were drawn when it was whole."""
    kept = [h for h in heights if h not in missing]
    stack = Stack(heights=kept, shape=(len(kept), *GRID)).write(tmp_path / "ct")
    points = [stack.points(shape, h) for h, shape in shapes.items()]
    stack.structure_set(tmp_path / "rs", [(1, "GTV", points)])


EVEN = [0, 3, 6, 9, 12, 15, 18, 21]


def test_a_slice_missing_far_from_the_region_is_a_warning(tmp_path):
    without(tmp_path, EVEN, [15], {3: SMALL, 6: L_SHAPE, 9: SMALL})
    read_l(tmp_path, warnings={"missing_slices": 1})


def test_two_distances_of_slices_are_a_warning_where_the_region_lies_in_one(tmp_path):
    without(tmp_path, [0, 3, 6, 9, 12, 18, 24], [], {3: SMALL, 6: L_SHAPE, 9: SMALL})
    read_l(tmp_path, warnings={"missing_slices": 2})


@pytest.mark.parametrize("missing", [[9], [15]], ids=["inside the region", "at its end"])
def test_a_slice_missing_from_the_region_is_refused_unless_gaps_are_accepted(tmp_path, missing):
    without(tmp_path, EVEN, missing, {6: L_SHAPE, 9: SMALL, 12: SMALL, 15: SMALL})
    refused = read(tmp_path)
    assert refused.reason.startswith("Slices of the series are missing where the region lies: between")
    assert "data.accept: [gaps]" in refused.remedy
    found = read_l(tmp_path, accept=["gaps"])
    assert found.warnings["missing_slices"] == 1
    assert found.warnings["on_missing_slice"] == 1


def test_a_tilted_stack_is_refused_unless_that_is_accepted(tmp_path):
    stack = Stack()
    stack.write(
        tmp_path / "ct",
        changes={
            i: {"ImagePositionPatient": ds_list(stack.position(i) + 0.2 * h * stack.cosines[1])}
            for i, h in enumerate(stack.heights)
        },
    )
    shift = 0.2 * stack.heights[2] * stack.cosines[1]
    stack.structure_set(tmp_path / "rs", [(1, "GTV", [stack.points(L_SHAPE, 5) + shift])])
    assert "data.accept: [tilt]" in read(tmp_path).remedy
    read_l(tmp_path, stored=stack.stored[2], accept=["tilt"], warnings={"gantry_tilt": 1})


def test_an_orientation_that_differs_a_little_does_not_split_the_series(tmp_path):
    stack = Stack()
    turned = {"ImageOrientationPatient": ds_list([1, 2e-4, 0, -2e-4, 1, 0])}
    stack.write(tmp_path / "ct", changes={3: turned, 4: turned})
    stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack))])
    (series,) = index_folder(tmp_path).series[0].stacks()
    assert series.shape[0] == 5
    read_l(tmp_path, warnings={"orientation_differs": 2})


def test_a_series_that_is_split_says_so(tmp_path):
    stack = Stack()
    stack.write(tmp_path / "ct", changes={i: {"AcquisitionNumber": 1} for i in range(5)})
    again = Stack()
    again.study, again.series, again.frame = stack.study, stack.series, stack.frame
    again.write(tmp_path / "again", changes={i: {"AcquisitionNumber": 2} for i in range(5)})
    named = [(points, "CLOSED_PLANAR", [again.sops[i]]) for i, points in enumerate(drawn(stack), start=1)]
    stack.structure_set(tmp_path / "rs", [(1, "GTV", named)])
    assert read(tmp_path).warnings["series_split"] == 2


# --- pixels and files


def test_a_padding_limit_of_0_is_a_limit(tmp_path):
    stack = Stack()
    stack.stored[2, 0, :3] = -7, -2000, 1
    padding = {"PixelRepresentation": 1, "PixelPaddingValue": -2000, "PixelPaddingRangeLimit": 0}
    stack.write(tmp_path / "ct", changes=dict.fromkeys(range(5), padding))
    stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack))])
    np.testing.assert_array_equal(read(tmp_path).hu[0, :3], [-1024, -1024, -1023])


@pytest.mark.parametrize(("kind", "accept"), [("US", []), ("Z_EFF", ["rescale_type"])])
def test_values_of_another_type_than_hu(tmp_path, kind, accept):
    stack = Stack().write(tmp_path / "ct", changes={i: {"RescaleType": kind} for i in range(5)})
    stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack))])
    if accept:
        refused = read(tmp_path)
        assert isinstance(refused, RejectedPatient)
        assert "data.accept: [rescale_type]" in refused.remedy
    read_l(tmp_path, stored=stack.stored[2], warnings={"rescale_type": 1}, accept=accept)


@pytest.mark.parametrize("begin", ["meta", "data set"])
def test_files_without_a_preamble_are_read(stack, tmp_path, begin):
    path = stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack))])
    for file in (*stack.files, path):
        data = file.read_bytes()
        first = data.index(b"\x08\0\x16\0UI")
        file.write_bytes(data[132 if begin == "meta" else first :])
    read_l(tmp_path, stored=stack.stored[2], warnings={"no_preamble": 1})


def test_a_text_is_no_file_without_a_preamble(stack, tmp_path):
    stack.structure_set(tmp_path / "rs", [(1, "GTV", drawn(stack))])
    for name, data in {
        "a.txt": b"remarks of the ward",
        "b": b"\x08\0\x05\0",
        "c": b"\x08\0\x05\0\xff\xff\xff\x7fx",
    }.items():
        (tmp_path / name).write_bytes(data)
    assert {r.kind for r in index_folder(tmp_path).rejected} == {"not_dicom"}
    read_l(tmp_path, warnings={})


# --- segmentations

TURNS = {
    "rows flipped": (lambda m: m[::-1], [[1, 0], [0, -1]], lambda r, c: (r - 1, 0)),
    "columns flipped": (lambda m: m[:, ::-1], [[-1, 0], [0, 1]], lambda r, c: (0, c - 1)),
    "both flipped": (lambda m: m[::-1, ::-1], [[-1, 0], [0, -1]], lambda r, c: (r - 1, c - 1)),
    "swapped": (lambda m: m.T, [[0, 1], [1, 0]], lambda r, c: (0, 0)),
}


@pytest.mark.parametrize("turn", TURNS)
def test_a_segmentation_with_its_rows_and_columns_turned_lies_where_it_lies(tmp_path, turn):
    stack = Stack(orientation="oblique").write(tmp_path / "ct")
    turned, directions, corner = TURNS[turn]
    row, column = corner(*GRID)
    position = stack.points([(row, column)], stack.heights[2])[0]
    path = stack.segmentation(tmp_path / "seg", [(1, 2, turned(l_mask(GRID)))], labels=["GTV"])
    ds = dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0]
    cosines = np.array(directions) @ stack.cosines
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = ds_list(cosines.ravel())
    if turn == "swapped":
        shared.PixelMeasuresSequence[0].PixelSpacing = ds_list(stack.spacing[::-1])
    ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = ds_list(position)
    ds.save_as(path)
    read_l(tmp_path, warnings={})


@pytest.mark.parametrize(
    ("offset", "works"),
    [((0, 0, 0.045), True), ((0.004, 0, 0), True), ((0, 0, 0.3), False), ((0.1, 0, 0), False)],
)
def test_a_segmentation_may_lie_beside_its_grid_by_rounding_alone(tmp_path, offset, works):
    stack = Stack(heights=[0, 2, 4, 6, 8]).write(tmp_path / "ct")
    path = stack.segmentation(tmp_path / "seg", [(1, 2, l_mask(GRID))], labels=["GTV"])
    ds = dcmread(path)
    place = ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    place.ImagePositionPatient = ds_list(stack.position(2) + offset)
    ds.save_as(path)
    if works:
        read_l(tmp_path, warnings={"off_grid": 1})
    else:
        assert "does not lie on" in read(tmp_path).reason
