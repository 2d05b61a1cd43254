"""Real CT, contours and segmentations against what independent tools made of them."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000Lossless

from fgf_keras.config import parse_config
from fgf_keras.data.dicom.index import index_folder
from fgf_keras.data.dicom.roi_mask import rasterise_roi
from fgf_keras.data.dicom.rois import choose_rois
from fgf_keras.data.dicom.rtstruct import read_structure_set
from fgf_keras.data.dicom.seg import read_segmentation
from fgf_keras.data.dicom.series import read_series
from fgf_keras.data.prepared.pick import pick_slice
from fgf_keras.data.prepared.prepare import prepare
from fgf_keras.data.prepared.store import SliceStore
from fgf_keras.data.refusal import DicomError

CASES = ["002", "003", "008", "018", "019", "025", "032", "050"]
RULES = {"max_area": "largest_area", "mid_slice": "middle", "centroid": "centroid"}


def truth(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(path))


def sarcoma(folder):
    series = read_series((folder / "CT" / "image").iterdir())
    structures = read_structure_set(folder / "CT" / "mask" / "RS.dcm")
    (number,) = choose_rois(structures.names, names=["gtv_mass_ct"])
    return series, rasterise_roi(structures, number, series)


@pytest.mark.parametrize("case", CASES)
def test_the_mask_equals_that_of_an_independent_tool_voxel_for_voxel(real_data, case):
    folder = real_data / "sts" / f"STS_{case}"
    image = sitk.ReadImage(folder / "mask.nii.gz")
    series, mask = sarcoma(folder)
    # The volume of SimpleITK runs along its own axes: they must be those of the series.
    np.testing.assert_allclose(np.reshape(image.GetDirection(), (3, 3)).T, series.orientation, atol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), series.headers[0].position, atol=1e-2)
    np.testing.assert_array_equal(mask.volume(), sitk.GetArrayFromImage(image) > 0)
    counts = mask.counts
    assert not counts.warnings()
    # The images that these contours name are not in the series.
    assert (counts.used, counts.matched, counts.unmatched) == (counts.contours, 0, counts.contours)


@pytest.mark.parametrize("case", CASES)
def test_slice_area_mean_and_axes_equal_the_reference(real_data, case):
    series, mask = sarcoma(real_data / "sts" / f"STS_{case}")
    with (real_data / "sts" / "reference_slice_features.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["case"] == f"STS_{case}"]
    assert {row["slice_def"] for row in rows} == set(RULES)
    for row in rows:
        index = pick_slice(mask, RULES[row["slice_def"]])
        inside = mask.planes[index]
        hu = series.read_hu(index)[inside].astype(np.float64)
        centres = np.argwhere(inside) * series.pixel_spacing
        minor, major = 4 * np.sqrt(np.linalg.eigvalsh(np.cov(centres.T, bias=True)))
        assert (index, len(hu)) == (int(row["slice_index"]), int(row["n_pix"]))
        found = [series.positions[index], hu.mean(), hu.std(), hu.min(), hu.max(), major, minor]
        names = ["z", "meanHU", "sdHU", "minHU", "maxHU", "pr_Major", "pr_Minor"]
        # The reference is written with four decimals.
        np.testing.assert_allclose(found, [float(row[name]) for name in names], atol=2e-4)


@pytest.mark.parametrize("rule", ["max_area", "mid_slice", "centroid"])
def test_a_prepared_cohort_has_the_reference_values_in_its_table(real_data, tmp_path, rule):
    roi = {"names": ["GTV_Mass_CT"]}
    table = {"labels_file": "outcome.csv", "separator": ",", "id_column": "patient"}
    data = {"source": "dicom", "root": str(real_data / "sts"), "out": str(tmp_path / "out"), "roi": roi}
    data |= {"label_column": "lung_metastasis", "size": 192, "slice": RULES[rule], **table}
    done = prepare(parse_config({"data": data}).data, n_jobs=2)
    assert done.patients == len(CASES)
    assert {r.patient_id for r in done.rejected} == {""}
    with (real_data / "sts" / "reference_slice_features.csv").open(encoding="utf-8") as stream:
        expected = {row["case"]: row for row in csv.DictReader(stream) if row["slice_def"] == rule}
    for found in SliceStore.reading(tmp_path / "out").cohort():
        row = expected[found["patient_id"]]
        assert (found["slice_index"], found["pixels"]) == (row["slice_index"], row["n_pix"])
        names = {"z_mm": "z", "mean_hu": "meanHU", "major_axis_mm": "pr_Major", "minor_axis_mm": "pr_Minor"}
        for ours, theirs in names.items():
            assert float(found[ours]) == pytest.approx(float(row[theirs]), abs=2e-4)
        assert found["warnings"] == ""


def test_dcmqi_segments_equal_their_truth(real_data):
    folder = real_data / "dcmqi"
    series = read_series((folder / "ct-3slice").iterdir())
    liver = read_segmentation(folder / "liver.dcm", series)[1]
    assert liver.areas().tolist() == [36233, 35645, 35220]
    assert liver.label == "Liver"
    np.testing.assert_array_equal(liver.volume(), truth(folder / "liver_seg.nrrd") > 0)
    # Segments that overlap, over three files of which each holds some of them by their number.
    segments = read_segmentation(folder / "partial_overlaps.dcm", series)
    seen = set()
    for part in (1, 2, 3):
        labels = truth(folder / f"partial_overlaps-{part}.nrrd")
        for number in np.unique(labels[labels > 0]):
            np.testing.assert_array_equal(segments[number].volume(), labels == number)
            seen.add(number)
    assert seen == set(segments)


def test_frames_that_do_not_fill_bytes(real_data):
    folder = real_data / "dcmqi" / "23x38x3"
    series = read_series((folder / "image").iterdir())
    segments = read_segmentation(folder / "seg" / "label.seg", series)
    np.testing.assert_array_equal(segments[1].volume(), truth(folder / "nrrd" / "label.nrrd") > 0)
    # What the writer put for want of a type.
    assert series.headers[0].warnings == {"rescale_type": 1}
    assert series.read_hu(0).shape == (38, 23)


def test_highdicom_segments(real_data):
    folder = real_data / "highdicom"
    series = read_series([folder / "ct_image.dcm"])
    path = folder / "seg_image_ct_binary_single_frame.dcm"
    plane = read_segmentation(path, series)[1].planes[0]
    np.testing.assert_array_equal(plane, dcmread(path).pixel_array > 0)
    with pytest.raises(DicomError) as caught:
        read_segmentation(folder / "seg_image_ct_binary.dcm", series)
    assert caught.value.kind == "other_frame"


def test_highdicom_binary_and_fractional_are_the_same_segment(real_data, tmp_path):
    highdicom = pytest.importorskip("highdicom", reason="highdicom, the independent reader, is not installed")
    folder = real_data / "highdicom"
    for name in ("binary", "binary_fractional", "binary_overlap", "true_fractional"):
        path = folder / f"seg_image_ct_{name}.dcm"
        frames = highdicom.imread(path).get_frames(apply_real_world_transform=False)
        dataset = dcmread(path)
        series = series_under(dataset, tmp_path / name)
        segments = read_segmentation(path, series)
        inside = frames >= 0.5 * dataset.get("MaximumFractionalValue", 1)
        found = np.zeros_like(inside)
        for i, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            z = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
            index = int(np.argmin(abs(series.positions - z)))
            found[i] = segments[number].planes.get(index, False)
        np.testing.assert_array_equal(found, inside)


def series_under(dataset, folder):
    """Slices of the pixels and planes that a segmentation names; its own series is not at hand."""
    from dicom_fixtures import Stack

    places = [
        g.PlanePositionSequence[0].ImagePositionPatient for g in dataset.PerFrameFunctionalGroupsSequence
    ]
    corners = np.unique(np.array(places, float), axis=0)
    count = round((corners[-1, 2] - corners[0, 2]) / 1.25) + 1
    spacing = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    stack = Stack(
        shape=(count, dataset.Rows, dataset.Columns),
        spacing=tuple(map(float, spacing)),
        heights=np.arange(count) * 1.25,
        origin=corners[0],
    )
    stack.frame = dataset.FrameOfReferenceUID
    return read_series(stack.write(folder).files)


def test_two_contours_on_one_plane_and_identifiers_that_match_nothing(real_data):
    folder = real_data / "rt_utils" / "mock_data"
    series = read_series([folder / "ct_2.dcm", folder / "ct_1.dcm"])
    structures = read_structure_set(folder / "rt.dcm")
    with pytest.raises(DicomError) as caught:
        rasterise_roi(structures, 1, series)
    assert caught.value.kind == "other_frame"
    mask = rasterise_roi(structures, 1, series, same_frame=False)
    assert (list(mask.planes), mask.counts.used) == ([0], 2)
    # The second contour is a hole in the first.
    outer, hole = (enclosed(c.points) / np.prod(series.pixel_spacing) for c in structures.rois[1].contours)
    assert outer > hole
    assert abs(mask.areas()[0] - (outer - hole)) < 0.03 * (outer - hole)


def enclosed(points):
    """mm² inside an axial polygon."""
    x, y = points[:, 0], points[:, 1]
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


@pytest.mark.parametrize("name", ["invalid_reference_rt.dcm", "non_existent_reference_rt.dcm"])
def test_broken_references_do_not_matter(real_data, name):
    folder = real_data / "rt_utils" / "mock_data"
    series = read_series([folder / "ct_1.dcm", folder / "ct_2.dcm"])
    structures = read_structure_set(folder / name)
    assert list(structures.names) == [1, 2, 3, 4]
    mask = rasterise_roi(structures, 1, series)
    assert list(mask.planes) == [0, 1]
    assert mask.counts.outside_stack == 1
    assert mask.counts.used == 2


def test_a_region_without_contours_and_contours_of_other_slices(real_data):
    folder = real_data / "dicompyler"
    series = read_series([folder / "ct.0.dcm"])
    structures = read_structure_set(folder / "rtss.dcm")
    assert len(structures.rois) == 10
    assert sorted(structures.rois.keys() - structures.names.keys()) == [2]
    assert not rasterise_roi(structures, 2, series)
    body = rasterise_roi(structures, 1, series)
    assert body.counts.outside_stack + body.counts.used == body.counts.contours == 141


def test_lossless_compression_changes_no_pixel(real_data):
    if not get_decoder(JPEG2000Lossless).is_available:
        pytest.skip("no JPEG 2000 decoder is installed: pip install fgf-keras[dicom]")
    images = [read_series([real_data / "pydicom" / f"693_{n}.dcm"]).read_hu(0) for n in ("J2KR", "UNCR")]
    np.testing.assert_array_equal(*images)
    assert images[0].min() == -1024


def test_a_whole_tree_of_real_files_is_sorted(real_data):
    index = index_folder(real_data / "sts")
    assert len(index.series) == len(index.structure_sets) == len(CASES)
    assert {r.kind for r in index.rejected} == {"not_dicom"}
    frames = {e.frame_of_reference_uids for e in index.structure_sets}
    assert frames == {e.frame_of_reference_uids for e in index.series}
