"""A CT series is stacked by geometry, or refused by name; its values are Hounsfield units."""

import pickle

import numpy as np
import pytest
from dicom_fixtures import ORIENTATIONS, Stack, ds_list
from pydicom.uid import generate_uid

from fgf_keras.data.dicom.series import read_series
from fgf_keras.data.refusal import DicomError


def refusal(files):
    with pytest.raises(DicomError) as caught:
        read_series(files)
    return caught.value


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_slices_lie_in_the_order_of_their_positions(tmp_path, orientation):
    stack = Stack(orientation).write(tmp_path)
    series = read_series(reversed(stack.files))
    assert [h.sop_uid for h in series.headers] == stack.sops
    assert series.shape == stack.shape
    np.testing.assert_allclose(series.spacing, (2.5, 0.9, 0.7), rtol=1e-9)
    for index in range(5):
        np.testing.assert_array_equal(series.read_hu(index), stack.stored[index] - 1024)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_pixels_to_patient_and_back(tmp_path, orientation, rng):
    stack = Stack(orientation).write(tmp_path)
    series = read_series(stack.files)
    vertices = rng.uniform(-5, 20, (7, 2))
    points = stack.points(vertices, stack.heights[3])
    np.testing.assert_allclose(series.to_patient(3, vertices), points, atol=1e-9)
    found = series.to_pixels(points, 3)
    np.testing.assert_allclose(found[:, :2], vertices, atol=1e-9)
    np.testing.assert_allclose(found[:, 2], series.positions[3], atol=1e-9)


def test_uneven_gaps_keep_each_slices_own_position(tmp_path):
    heights = [0, 2, 4, 7, 9.5]
    series = read_series(Stack(heights=heights).write(tmp_path).files)
    np.testing.assert_allclose(series.positions - series.positions[0], heights)
    np.testing.assert_allclose(series.half_gaps[2], (1, 1.5))
    assert series.slice_at(series.positions[2] + 1.4) == 2
    assert series.slice_at(series.positions[2] + 1.6) == 3
    assert series.slice_at(series.positions[2] + 1.5) is None
    assert series.slice_at(series.positions[0] - 1.1) is None


@pytest.mark.parametrize("heights", [[0, 2, 4, 8, 10], [0, 3, 6, 9, 18], [0, 1.2, 2.5, 3.7, 6.3], [0, 2, 6]])
def test_missing_slices_are_counted_where_they_are_missing(tmp_path, heights):
    stack = Stack(shape=(len(heights), 12, 16), heights=heights).write(tmp_path)
    gaps = np.diff(heights)
    at = int(np.argmax(gaps))
    assert read_series(stack.files).missing == {at: round(gaps[at] / np.min(gaps)) - 1}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("mixed_orientation", {"ImageOrientationPatient": ds_list(ORIENTATIONS["coronal"])}),
        ("mixed_orientation", {"ImageOrientationPatient": ["1", "0", "0", "0", "0.99998", "0.00632"]}),
        ("mixed_spacing", {"PixelSpacing": ["0.9", "0.71"]}),
        ("mixed_size", {"Rows": 16, "Columns": 12}),
        ("duplicate_slice", {"ImagePositionPatient": ds_list((-40, 30, 7 + 2.5))}),
        ("sideways_shift", {"ImagePositionPatient": ds_list((-38, 30, 7 + 5))}),
        ("not_ct", {"Modality": "PT"}),
        ("mixed_series", {"SeriesInstanceUID": generate_uid()}),
        ("mixed_series", {"PatientID": "P-2"}),
        ("mixed_series", {"FrameOfReferenceUID": generate_uid()}),
        ("multi_frame", {"NumberOfFrames": 2}),
        ("missing_tag", {"ImagePositionPatient": None}),
        ("missing_tag", {"ImageOrientationPatient": None}),
        ("missing_tag", {"PixelSpacing": None}),
        ("bad_tag", {"PixelSpacing": ["0.7", "0"]}),
        ("bad_tag", {"ImageOrientationPatient": ds_list((1, 0, 0, 0.1, 1, 0))}),
    ],
)
def test_slices_that_do_not_fit_together_are_refused_by_name(tmp_path, kind, changes):
    assert refusal(Stack().write(tmp_path, {2: changes}).files).kind == kind


def test_a_tilted_gantry_is_named(tmp_path):
    stack, slope = Stack(), np.tan(np.radians(12))
    tilted = {
        i: {"ImagePositionPatient": ds_list(np.add(stack.position(i), (0, h * slope, 0)))}
        for i, h in enumerate(stack.heights)
    }
    error = refusal(stack.write(tmp_path, tilted).files)
    assert error.kind == "gantry_tilt"
    assert "12.00 degrees" in str(error)


def test_no_slices():
    assert refusal([]).kind == "no_slices"


def test_one_slice_has_its_thickness(tmp_path):
    series = read_series(Stack(shape=(1, 12, 16)).write(tmp_path).files)
    assert series.spacing[0] == 2.5
    assert series.slice_at(series.positions[0] + 1.2) == 0
    assert series.slice_at(series.positions[0] + 1.3) is None


def test_each_slice_has_its_own_rescale(tmp_path):
    stack = Stack().write(tmp_path, {2: {"RescaleSlope": "0.5", "RescaleIntercept": "-7"}})
    series = read_series(stack.files)
    np.testing.assert_array_equal(series.read_hu(2), np.float32(stack.stored[2] * 0.5 - 7))
    np.testing.assert_array_equal(series.read_hu(3), stack.stored[3] - 1024)
    assert series.read_hu(2).dtype == np.float32


def test_signed_values(tmp_path):
    stack = Stack()
    stored = stack.stored[0] - 1000
    stack.write(tmp_path, {0: {"stored": stored, "PixelRepresentation": 1, "RescaleIntercept": "0"}})
    np.testing.assert_array_equal(read_series(stack.files).read_hu(0), stored)


def test_monochrome1_is_a_way_to_show_values_not_to_store_them(tmp_path):
    stack = Stack().write(tmp_path, {0: {"PhotometricInterpretation": "MONOCHROME1"}})
    np.testing.assert_array_equal(read_series(stack.files).read_hu(0), stack.stored[0] - 1024)


def test_bits_beyond_those_stored_are_not_part_of_the_value(tmp_path):
    stack = Stack()
    stored = stack.stored[0] | 0x4000
    stack.write(tmp_path, {0: {"stored": stored, "BitsStored": 12, "HighBit": 11}})
    np.testing.assert_array_equal(read_series(stack.files).read_hu(0), stack.stored[0] - 1024)


@pytest.mark.parametrize("padding", [-2000, 63536])
def test_padding_becomes_air(tmp_path, padding):
    stack = Stack()
    stored = stack.stored[0].copy()
    stored[0], stored[5, 5] = -2000, -2000
    value = {"PixelRepresentation": 1, "stored": stored}
    dataset = stack.dataset(0, **value)
    dataset.add_new("PixelPaddingValue", "SS" if padding < 0 else "US", padding)
    stack.write(tmp_path)
    dataset.save_as(stack.files[0])
    expected = stack.stored[0] - 1024
    expected[0], expected[5, 5] = -1024, -1024
    np.testing.assert_array_equal(read_series(stack.files).read_hu(0), expected)


def test_padding_with_the_value_of_water_does_not_pierce_the_body(tmp_path):
    stack = Stack()
    stored = np.full(stack.shape[1:], 1060)
    stored[:, :3], stored[5, 8] = 1024, 1024
    dataset = stack.dataset(0, stored=stored)
    dataset.add_new("PixelPaddingValue", "US", 1024)
    stack.write(tmp_path)
    dataset.save_as(stack.files[0])
    hu = read_series(stack.files).read_hu(0)
    assert (hu[:, :3] == -1024).all()
    assert hu[5, 8] == 0


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("missing_tag", {"RescaleIntercept": None}),
        ("not_hu", {"RescaleType": "Z_EFF"}),
        ("not_hu", {"RescaleSlope": "0"}),
        ("bad_pixels", {"HighBit": 11}),
        ("bad_pixels", {"PixelRepresentation": 3}),
    ],
)
def test_values_that_are_no_hounsfield_units_are_refused(tmp_path, kind, changes):
    series = read_series(Stack().write(tmp_path, {1: changes}).files)
    with pytest.raises(DicomError) as caught:
        series.read_hu(1)
    assert caught.value.kind == kind


def test_pixels_cut_short_are_noticed_without_decoding(tmp_path):
    stack = Stack().write(tmp_path)
    stack.files[4].write_bytes(stack.files[4].read_bytes()[:-40])
    error = refusal(stack.files)
    assert error.kind == "truncated"
    assert stack.files[4].name in str(error)


def test_a_slice_replaced_since_its_header_was_read_is_noticed(tmp_path):
    stack = Stack().write(tmp_path)
    series = read_series(stack.files)
    stack.files[0].write_bytes(stack.files[1].read_bytes())
    with pytest.raises(DicomError, match="another slice"):
        series.read_hu(0)


def test_errors_survive_the_way_between_processes():
    error = DicomError("kind", "Reason.", "Remedy.", where="file")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.kind, copy.reason) == ("file: Reason. Remedy.", "kind", "Reason.")
