"""Which region on which series: told by geometry, and refused where nothing tells."""

import numpy as np
import pytest
from dicom_fixtures import L_SHAPE, Stack, l_mask
from pydicom.uid import generate_uid

from fgf_keras.config import parse_config
from fgf_keras.data.dicom.patient import dicom_patients
from fgf_keras.data.prepared.source import RejectedPatient

SQUARE = [(2.5, 2.5), (2.5, 8.5), (8.5, 8.5), (8.5, 2.5)]


def data(root, **keys):
    keys = {"roi": {"pattern": "gtv.*"}} | keys
    return parse_config({"data": {"source": "dicom", "root": str(root), "out": "-", **keys}}).data


def read(root, **keys):
    """What becomes of the one patient in a folder."""
    patients, _ = dicom_patients(data(root, **keys))
    (patient,) = patients
    return patient.read()


def companion(stack, **kwargs):
    """Another series of the same patient in the same frame of reference."""
    other = Stack(**kwargs)
    other.study, other.frame = stack.study, stack.frame
    return other


def contours(stack, vertices=L_SHAPE, heights=None):
    return [stack.points(vertices, h) for h in (stack.heights[1:4] if heights is None else heights)]


@pytest.fixture
def stack(tmp_path):
    return Stack().write(tmp_path / "ct")


def test_region_slice_and_pixels(stack, tmp_path):
    smaller = np.array([(2.5, 2.5), (2.5, 4.5), (4.5, 4.5), (4.5, 2.5)])
    drawn = [stack.points(smaller, 2.5), stack.points(L_SHAPE, 5), stack.points(smaller, 7.5)]
    stack.structure_set(tmp_path / "rs", [(4, "Body", contours(stack, SQUARE)), (9, "GTV primary", drawn)])
    found = read(tmp_path)
    assert (found.index, found.roi_object) == (2, "rtstruct")
    assert (found.roi_names, found.roi_numbers) == (("GTV primary",), (9,))
    np.testing.assert_array_equal(found.mask, l_mask((12, 16)))
    np.testing.assert_array_equal(found.hu, stack.stored[2] - 1024.0)
    assert found.spacing == (2.5, 0.9, 0.7)
    assert found.z_mm == pytest.approx(stack.position(2)[2])
    assert found.source_uid == stack.series
    assert found.warnings == {}


def test_the_series_is_the_one_where_no_contour_is_left_over(stack, tmp_path):
    # A thick reconstruction of the same patient: every other contour falls between its slices.
    companion(stack, heights=[0, 6.25, 12.5], shape=(3, 12, 16)).write(tmp_path / "thick")
    stack.structure_set(tmp_path / "rs", [(1, "GTV", contours(stack))])
    assert read(tmp_path).source_uid == stack.series


def test_two_series_alike_are_told_apart_by_the_images_that_the_contours_name(stack, tmp_path):
    other = companion(stack).write(tmp_path / "other kernel")
    stack.structure_set(tmp_path / "rs", [(1, "GTV", contours(stack))])
    refused = read(tmp_path)
    assert isinstance(refused, RejectedPatient)
    assert refused.stage == "region"
    assert "2 stacks of slices alike" in refused.reason
    named = [(points, "CLOSED_PLANAR", [other.sops[i]]) for i, points in enumerate(contours(stack), start=1)]
    stack.structure_set(tmp_path / "rs", [(1, "GTV", named)])
    assert read(tmp_path).source_uid == other.series


def test_a_segmentation_names_its_series(stack, tmp_path):
    from pydicom.dataset import Dataset

    other = companion(stack).write(tmp_path / "other kernel")
    frames = [(1, i, l_mask((12, 16))) for i in (1, 2)]
    stack.segmentation(tmp_path / "seg", frames, labels=["GTV"])
    assert "alike" in read(tmp_path).reason
    reference = Dataset()
    reference.SeriesInstanceUID = other.series
    stack.segmentation(tmp_path / "seg", frames, labels=["GTV"], ReferencedSeriesSequence=[reference])
    found = read(tmp_path)
    assert (found.source_uid, found.roi_object) == (other.series, "seg")


def test_another_frame_of_reference_is_another_place(stack, tmp_path):
    stack.structure_set(tmp_path / "rs", [(1, "GTV", contours(stack))])
    elsewhere = tmp_path / "moved"
    moved = Stack()
    moved.study = stack.study
    for path in stack.files:
        path.unlink()
    moved.write(elsewhere)
    refused = read(tmp_path)
    assert "another frame of reference" in refused.reason
    assert read(tmp_path, roi={"pattern": "gtv", "ignore_frame_of_reference": True}).index == 1


def test_rtstruct_goes_before_seg_unless_told(stack, tmp_path):
    stack.structure_set(tmp_path / "rs", [(1, "GTV", contours(stack))])
    stack.segmentation(tmp_path / "seg", [(1, 1, np.ones((12, 16)))], labels=["GTV"])
    assert read(tmp_path).mask.sum() == l_mask((12, 16)).sum()
    by_seg = read(tmp_path, roi={"pattern": "gtv", "objects": ["seg", "rtstruct"]})
    assert by_seg.mask.all()
    # What the preferred kind does not have, the other one may.
    assert read(tmp_path, roi={"names": ["lesion"]}).stage == "region"
    stack.segmentation(tmp_path / "seg", [(1, 1, np.ones((12, 16)))], labels=["lesion"])
    assert read(tmp_path, roi={"names": ["lesion"]}).roi_object == "seg"


def test_two_structure_sets_that_differ_are_refused_unless_their_description_tells(stack, tmp_path):
    stack.structure_set(
        tmp_path / "a", [(1, "GTV", contours(stack))], SeriesDescription="RTstruct_CTsim->CT(PET-CT)"
    )
    stack.structure_set(
        tmp_path / "b", [(1, "GTV", contours(stack, SQUARE))], SeriesDescription="RTstruct_CTsim->PET(PET-CT)"
    )
    refused = read(tmp_path)
    assert "2 structure sets or segmentations have the region" in refused.reason
    assert "series_description" in refused.remedy
    rule = {"pattern": "gtv", "series_description": [".*no such.*", ".*->CT.*", ".*"]}
    assert read(tmp_path, roi=rule).mask.sum() == l_mask((12, 16)).sum()
    none = read(tmp_path, roi={"pattern": "gtv", "series_description": ["x"]})
    assert "series_description" in none.reason
    assert "2 RTSTRUCT" in none.remedy


def test_two_structure_sets_that_say_the_same_are_one(stack, tmp_path):
    for name in "ab":
        stack.structure_set(tmp_path / name, [(1, "GTV", contours(stack))])
    assert read(tmp_path).roi_numbers == (1,)


def test_an_ambiguous_region_lists_the_candidates(stack, tmp_path):
    regions = [(1, "GTV", contours(stack)), (2, "gtv n", contours(stack, SQUARE))]
    stack.structure_set(tmp_path / "rs", regions)
    refused = read(tmp_path)
    assert "1 'GTV', 2 'gtv n'" in refused.reason
    both = read(tmp_path, roi={"pattern": "gtv.*", "strategy": "union"})
    assert both.roi_numbers == (1, 2)
    np.testing.assert_array_equal(both.mask[3:9, 3:9], True)
    assert read(tmp_path, roi={"pattern": "gtv.*", "strategy": "largest"}).roi_numbers == (1,)


def test_names_by_table_are_a_union_of_which_each_must_be_there(stack, tmp_path):
    stack.structure_set(
        tmp_path / "rs",
        [(1, "GTV 1", contours(stack)), (2, "GTV 2", contours(stack, SQUARE)), (3, "x", None)],
    )
    table = tmp_path / "regions.csv"
    rule = {"table": {"file": "regions.csv", "id_column": "id", "name_columns": ["name"]}}
    for names, expected in {"gtv 1, GTV 2 ": (1, 2), "GTV 2": (2,)}.items():
        table.write_text(f'id;name\nP-1;"{names}"\n', encoding="utf-8")
        assert read(tmp_path, roi=rule).roi_numbers == expected
    for names, reason in {"GTV 1, GTV 3": "No region fits 'GTV 3'", "": "names no region"}.items():
        table.write_text(f'id;name\nP-1;"{names}"\n', encoding="utf-8")
        assert reason in read(tmp_path, roi=rule).reason


def test_why_there_is_nothing_is_said(stack, tmp_path):
    assert "No RTSTRUCT or SEG of this patient" in read(tmp_path).reason
    stack.structure_set(tmp_path / "rs", [(1, "GTV", contours(stack, heights=[500]))])
    refused = read(tmp_path)
    assert "outside_stack: 1" in refused.reason
    stack.files[2].unlink()
    refused = read(tmp_path)
    assert (refused.stage, "outside_stack: 1" in refused.reason) == ("region", True)
    for path in stack.files:
        path.unlink(missing_ok=True)
    assert "no CT series" in read(tmp_path).reason


def test_a_structure_set_that_contradicts_itself_is_not_passed_over(stack, tmp_path):
    stack.structure_set(tmp_path / "a", [(1, "GTV", contours(stack))])
    stack.structure_set(tmp_path / "b", [(1, "GTV", contours(stack, SQUARE)), (1, "x", contours(stack))])
    assert "Two regions have the ROINumber 1" in read(tmp_path).reason


def test_a_structure_set_that_is_cut_short_is_listed_and_not_passed_over(stack, tmp_path):
    stack.structure_set(tmp_path / "a", [(1, "GTV", contours(stack))])
    broken = stack.structure_set(tmp_path / "b", [(1, "GTV", contours(stack, SQUARE))])
    broken.write_bytes(broken.read_bytes()[:-30])
    patients, rejected = dicom_patients(data(tmp_path))
    assert "1 RTSTRUCT files of the patient cannot be used" in patients[0].read().reason
    assert [(r.patient_id, r.stage) for r in rejected] == [("P-1", "file")]


def test_files_that_nobody_can_use_are_listed_without_their_paths(stack, tmp_path):
    (tmp_path / "Mr Miller.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "labels.csv").write_text("id;label", encoding="utf-8")
    # A slice without a position belongs to a patient; a file that is no DICOM to nobody.
    stack.dataset(2, ImagePositionPatient=None, SOPInstanceUID=generate_uid()).save_as(tmp_path / "Miller")
    _, rejected = dicom_patients(data(tmp_path, labels_file="labels.csv"))
    assert sorted(r.patient_id for r in rejected) == ["", "P-1"]
    assert {r.stage for r in rejected} == {"file"}
    assert "Miller" not in repr(rejected)


def test_the_fingerprint_follows_the_files(stack, tmp_path):
    stack.structure_set(tmp_path / "rs", [(1, "GTV", contours(stack))])

    def fingerprint():
        return dicom_patients(data(tmp_path))[0][0].fingerprint

    before = fingerprint()
    (tmp_path / "ct" / "moved").mkdir()
    stack.files[0].rename(tmp_path / "ct" / "moved" / "x")
    assert fingerprint() == before
    stack.structure_set(tmp_path / "rs", [(1, "GTV", contours(stack))])
    assert fingerprint() != before


def test_a_patient_without_id_is_listed(tmp_path):
    stack = Stack(shape=(1, 12, 16))
    stack.write(tmp_path, {0: {"PatientID": ""}})
    patients, rejected = dicom_patients(data(tmp_path))
    assert not patients
    assert "no PatientID" in rejected[0].reason
