"""Damaged files: refused, or read as what they still say; never a crash, never another mask."""

import numpy as np
import pytest
from dicom_fixtures import L_SHAPE, Stack, l_mask
from pydicom import dcmread

from fgf_keras.data.dicom.refusal import DicomError
from fgf_keras.data.dicom.roi_mask import rasterise_roi
from fgf_keras.data.dicom.rtstruct import read_structure_set
from fgf_keras.data.dicom.seg import read_segmentation
from fgf_keras.data.dicom.series import read_series

VARIANTS = 67


@pytest.fixture
def stack(tmp_path):
    return Stack().write(tmp_path / "ct")


def variants(path, rng):
    """Bytes flipped (also several, also in runs), the end cut off, a stretch cut out, tags removed."""
    whole = path.read_bytes()
    for i in range(VARIANTS):
        data = bytearray(whole)
        kind = i % 4
        if kind == 0:
            for at in rng.integers(132, len(data), rng.integers(1, 4)):
                data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[int(rng.integers(len(data))) :]
        elif kind == 2:
            at = int(rng.integers(132, len(data)))
            del data[at : at + int(rng.integers(1, 40))]
        else:
            path.write_bytes(whole)
            dataset = dcmread(path)
            for holder in [dataset, *nested(dataset)]:
                tags = list(holder.keys())
                if tags and rng.random() < 0.15:
                    del holder[tags[int(rng.integers(len(tags)))]]
            try:
                dataset.save_as(path)
                data = path.read_bytes()
            except Exception:  # without the element the writer cannot tell how to write: nothing to test
                continue
        path.write_bytes(data)
        yield path, kind == 1
    path.write_bytes(whole)


def nested(dataset):
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from nested(item)


def says(path, keywords):
    """What a file says on some tags and in its sequences, by pydicom alone; None if it cannot be told."""
    try:
        dataset = dcmread(path)
        return repr([(holder.get(k)) for holder in [dataset, *nested(dataset)] for k in keywords])
    except Exception:
        return None


def check(path, keywords, read, expected, rng):
    """`read` gives `expected` or refuses, unless the file itself says something else by now."""
    original = says(path, keywords)
    accepted = 0
    for variant, cut in variants(path, rng):
        try:
            result = read(variant)
        except DicomError:
            continue
        assert not cut, "a truncated file was accepted"
        accepted += 1
        if not np.array_equal(result, expected):
            assert says(variant, keywords) != original
    # Damage to what is not read must not keep a file from being read.
    assert accepted


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom on the damage, in the test's own reading
def test_structure_sets(stack, tmp_path, rng):
    contours = [stack.points(L_SHAPE, h) for h in stack.heights[1:4]]
    decoy = [stack.points(np.add(L_SHAPE, 1), 0)]
    path = stack.structure_set(tmp_path / "rs.dcm", [(1, "GTV", contours), (2, "other", decoy)])
    expected = np.zeros(stack.shape, bool)
    expected[1:4] = l_mask(stack.shape[1:])
    series = read_series(stack.files)
    keywords = ["ROINumber", "ReferencedROINumber", "ContourGeometricType", "ContourData"]
    check(path, keywords, lambda p: rasterise_roi(read_structure_set(p), 1, series).volume(), expected, rng)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_segmentations(stack, tmp_path, rng):
    truth = rng.random(stack.shape) < 0.5
    path = stack.segmentation(tmp_path / "seg.dcm", [(1, i, plane) for i, plane in enumerate(truth)])
    series = read_series(stack.files)
    keywords = ["PixelData", "ImagePositionPatient", "ReferencedSegmentNumber", "SegmentNumber"]
    check(path, keywords, lambda p: read_segmentation(p, series)[1].volume(), truth, rng)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_slices(stack, tmp_path, rng):
    path = stack.files[2]
    keywords = ["PixelData", "RescaleSlope", "RescaleIntercept", "BitsStored", "PixelRepresentation"]
    keywords += ["PixelPaddingValue", "Rows", "Columns", "ImagePositionPatient", "BitsAllocated"]
    expected = stack.stored[2] - 1024
    check(path, keywords, lambda p: read_series([p]).read_hu(0), expected, rng)
