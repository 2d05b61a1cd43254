"""Segments of a SEG file on the grid of the series, whatever the order, number and packing of frames."""

import numpy as np
import pytest
from dicom_fixtures import ORIENTATIONS, Stack, ds_list, l_mask
from pydicom import dcmread

from fgf_keras.data.dicom.seg import read_segment_labels, read_segmentation
from fgf_keras.data.dicom.series import read_series
from fgf_keras.data.refusal import DicomError

# 5 x 7 = 35 bits: every frame but the first begins inside a byte.
ODD = (4, 5, 7)


@pytest.fixture
def stack(tmp_path):
    return Stack(shape=ODD).write(tmp_path / "ct")


def volume(rng, shape=ODD):
    return rng.random(shape) < 0.4


def refusal(stack, path, **options):
    with pytest.raises(DicomError) as caught:
        read_segmentation(path, read_series(stack.files), **options)
    return caught.value.kind


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_frames_in_any_order_and_orientation(tmp_path, orientation, rng):
    stack = Stack(orientation, ODD).write(tmp_path / "ct")
    truth = volume(rng)
    path = stack.segmentation(tmp_path / "seg.dcm", [(1, i, truth[i]) for i in (2, 0, 3, 1)])
    segments = read_segmentation(path, read_series(stack.files))
    np.testing.assert_array_equal(segments[1].volume(), truth)
    assert segments[1].label == "lesion"


def test_overlapping_segments_and_frames_left_out(stack, tmp_path, rng):
    truth = np.array([volume(rng), volume(rng)])
    truth[0, 1:3] = truth[1, 0] = False
    frames = [(s + 1, i, truth[s, i]) for i in range(4) for s in range(2) if truth[s, i].any()]
    path = stack.segmentation(tmp_path / "seg.dcm", frames, ("tumour", "node ", "never drawn"))
    segments = read_segmentation(path, read_series(stack.files))
    np.testing.assert_array_equal([segments[1].volume(), segments[2].volume()], truth)
    assert not segments[3]
    assert read_segment_labels(path) == {1: "tumour", 2: "node", 3: "never drawn"}


@pytest.mark.parametrize(("threshold", "least"), [(0.5, 100), (0.505, 101), (1, 200), (0.001, 1)])
def test_a_fraction_is_inside_from_the_threshold_on(stack, tmp_path, rng, threshold, least):
    values = rng.integers(0, 201, ODD)
    values[0, 0, :4] = (99, 100, 101, 200)
    path = stack.segmentation(tmp_path / "seg.dcm", [(1, i, v) for i, v in enumerate(values)], fractional=200)
    segments = read_segmentation(path, read_series(stack.files), threshold=threshold)
    np.testing.assert_array_equal(segments[1].volume(), values >= least)


def test_a_part_of_the_image_is_placed_on_its_pixels(tmp_path):
    stack = Stack().write(tmp_path / "ct")
    mask = l_mask((12, 16))
    path = stack.segmentation(tmp_path / "seg.dcm", [(1, 2, mask[2:10, 3:12])])
    dataset = dcmread(path)
    corner = stack.points([(2, 3)], stack.heights[2])[0]
    position = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    position.ImagePositionPatient = ds_list(corner)
    dataset.save_as(path)
    np.testing.assert_array_equal(read_segmentation(path, read_series(stack.files))[1].planes[2], mask)


def move(dataset, by):
    place = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    place.ImagePositionPatient = ds_list(np.array(place.ImagePositionPatient, float) + by)


def shared(dataset, sequence):
    return dataset.SharedFunctionalGroupsSequence[0][sequence].value[0]


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        (lambda ds: move(ds, (0.05, 0, 0)), "off_grid"),
        (lambda ds: move(ds, (0, 0, 1.2)), "off_grid"),
        (lambda ds: move(ds, (0.7, 0, 0)), "off_grid"),
        (
            lambda ds: setattr(shared(ds, "PixelMeasuresSequence"), "PixelSpacing", ["0.9", "0.71"]),
            "off_grid",
        ),
        (
            lambda ds: setattr(
                shared(ds, "PlaneOrientationSequence"),
                "ImageOrientationPatient",
                ds_list((1, 0, 0, 0, -1, 0)),
            ),
            "off_grid",
        ),
        (lambda ds: delattr(ds.SharedFunctionalGroupsSequence[0], "PixelMeasuresSequence"), "missing_tag"),
        (lambda ds: setattr(ds, "FrameOfReferenceUID", "1.2.3"), "other_frame"),
        (lambda ds: setattr(ds, "SegmentationType", "LABELMAP"), "unknown_kind"),
        (lambda ds: setattr(ds, "NumberOfFrames", 3), "bad_pixels"),
        (lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]), "bad_pixels"),
        (lambda ds: setattr(ds.SegmentSequence[0], "SegmentNumber", 2), "no_such_segment"),
        (lambda ds: setattr(ds, "Modality", "CT"), "not_seg"),
    ],
)
def test_what_does_not_fit_the_series_is_refused_by_name(stack, tmp_path, edit, kind):
    frames = [(1, i, np.ones(ODD[1:], bool)) for i in range(4)]
    path = stack.segmentation(tmp_path / "seg.dcm", frames)
    dataset = dcmread(path)
    edit(dataset)
    dataset.save_as(path)
    assert refusal(stack, path) == kind


def test_two_frames_of_one_segment_on_one_slice_are_refused(stack, tmp_path):
    full = np.ones(ODD[1:], bool)
    path = stack.segmentation(tmp_path / "seg.dcm", [(1, 1, full), (1, 1, full)])
    assert refusal(stack, path) == "duplicate_frame"


def test_a_threshold_is_a_share(stack, tmp_path):
    path = stack.segmentation(tmp_path / "seg.dcm", [(1, 1, np.ones(ODD[1:], bool))])
    assert refusal(stack, path, threshold=0) == "bad_threshold"


def test_every_truncation_is_noticed(stack, tmp_path, rng):
    path = stack.segmentation(tmp_path / "seg.dcm", [(1, i, v) for i, v in enumerate(volume(rng))])
    series, whole = read_series(stack.files), path.read_bytes()
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(DicomError):
            read_segmentation(path, series)


def test_agrees_with_highdicom(stack, tmp_path, rng):
    highdicom = pytest.importorskip("highdicom", reason="highdicom, the independent reader, is not installed")
    truth = volume(rng)
    path = stack.segmentation(tmp_path / "seg.dcm", [(1, i, truth[i]) for i in (3, 1, 0, 2)])
    frames = highdicom.imread(path).get_frames()
    ours = read_segmentation(path, read_series(stack.files))[1].volume()
    np.testing.assert_array_equal(ours[[3, 1, 0, 2]], frames)
