"""Damaged files: refused, or read as what they still say; never a crash, never another mask, never for ever.

A few variants of each kind of file run every time; `make slow` runs thousands.
"""

import faulthandler
import signal
from contextlib import contextmanager

import numpy as np
import pytest
from dicom_damage import nested, variants
from dicom_fixtures import L_SHAPE, LOSSLESS, Stack, l_mask, write_as
from pydicom import dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from fgf_keras.data.dicom.index import index_folder
from fgf_keras.data.dicom.roi_mask import rasterise_roi
from fgf_keras.data.dicom.rtstruct import read_structure_set
from fgf_keras.data.dicom.seg import read_segmentation
from fgf_keras.data.dicom.series import read_series
from fgf_keras.data.refusal import DicomError

# Variants of each of 14 kinds of file.
COUNTS = [16, pytest.param(2000, marks=pytest.mark.slow)]
# Seconds that one variant may take; an intact one takes a few milliseconds.
LIMIT = 5

pytestmark = [
    pytest.mark.parametrize("count", COUNTS),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # pydicom on the damage, in the test's own reading
]


class TookTooLong(BaseException):
    """No Exception: what damage leads to is caught, this is not."""


@contextmanager
def limited():
    def stop(*_):
        raise TookTooLong(f"longer than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    # Compiled code does not see the signal: then the whole run ends, with the place where it hung.
    faulthandler.dump_traceback_later(4 * LIMIT, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def stack(tmp_path):
    return Stack().write(tmp_path / "ct")


def says(path, keywords):
    """What a file says on some tags, and its sequences, by pydicom alone; None if it cannot be told."""
    try:
        dataset = dcmread(path)
        holders = [dataset, *nested(dataset)]
        sequences = [element.tag for holder in holders for element in holder if element.VR == "SQ"]
        return repr(([holder.get(keyword) for holder in holders for keyword in keywords], sequences))
    except Exception:
        return None


def check(path, keywords, read, expected, rng, count):
    """`read` gives `expected` or refuses, unless the file itself says something else by now."""
    original = says(path, keywords)
    accepted = 0
    for cut in variants(path, rng, count):
        try:
            with limited():
                result = read(path)
        except DicomError:
            continue
        assert not cut, "a truncated file was accepted"
        accepted += 1
        if not np.array_equal(result, expected):
            assert says(path, keywords) != original
    # Damage to what is not read must not keep a file from being read.
    assert accepted


def rewrite(path, syntax):
    """The file in another transfer syntax."""
    dataset = dcmread(path)
    list(dataset.iterall())
    return write_as(dataset, path, syntax)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=lambda s: s.name)
def test_structure_sets(stack, tmp_path, rng, syntax, count):
    contours = [stack.points(L_SHAPE, h) for h in stack.heights[1:4]]
    decoy = [stack.points(np.add(L_SHAPE, 1), 0)]
    path = stack.structure_set(tmp_path / "rs.dcm", [(1, "GTV", contours), (2, "other", decoy)])
    expected = np.zeros(stack.shape, bool)
    expected[1:4] = l_mask(stack.shape[1:])
    series = read_series(stack.files)
    keywords = ["ROINumber", "ReferencedROINumber", "ContourGeometricType", "ContourData"]
    check(
        rewrite(path, syntax),
        keywords,
        lambda p: rasterise_roi(read_structure_set(p), 1, series).volume(),
        expected,
        rng,
        count,
    )


@pytest.mark.parametrize("fractional", [None, 200], ids=["binary", "fractional"])
def test_segmentations(stack, tmp_path, rng, fractional, count):
    values = rng.integers(0, 201, stack.shape) if fractional else rng.random(stack.shape) < 0.5
    expected = values >= 100 if fractional else values
    frames = [(1, i, plane) for i, plane in enumerate(values)]
    path = stack.segmentation(tmp_path / "seg.dcm", frames, fractional=fractional)
    series = read_series(stack.files)
    keywords = ["PixelData", "ImagePositionPatient", "ReferencedSegmentNumber", "SegmentNumber"]
    keywords += ["MaximumFractionalValue", "SegmentationType"]
    check(path, keywords, lambda p: read_segmentation(p, series)[1].volume(), expected, rng, count)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *LOSSLESS], ids=lambda s: s.name)
def test_slices(stack, rng, syntax, count):
    if syntax.is_encapsulated and syntax != RLELossless:
        pytest.importorskip("gdcm", reason="python-gdcm, which writes the files, is not installed")
    path = rewrite(stack.files[2], syntax)
    keywords = ["PixelData", "RescaleSlope", "RescaleIntercept", "BitsStored", "PixelRepresentation"]
    keywords += ["PixelPaddingValue", "Rows", "Columns", "ImagePositionPatient", "BitsAllocated"]
    expected = stack.stored[2] - 1024
    check(path, keywords, lambda p: read_series([p]).read_hu(0), expected, rng, count)


@pytest.mark.parametrize("which", ["slice", "structure set"])
def test_folders(stack, tmp_path, rng, which, count):
    """Nothing is lost without a trace, and what is intact stays as it was."""
    contours = [stack.points(L_SHAPE, stack.heights[1])]
    structures = stack.structure_set(tmp_path / "ct" / "rs.dcm", [(1, "GTV", contours)])
    path = stack.files[2] if which == "slice" else structures
    others = {p for p in (*stack.files, structures) if p != path}
    rejected = 0
    for _ in variants(path, rng, count):
        with limited():
            index = index_folder(tmp_path / "ct")
        entries = [entry for group in index.studies().values() for entry in group]
        used = {file for entry in entries for file in entry.files}
        assert used | {tmp_path / "ct" / r.path for r in index.rejected} == others | {path}
        # A damaged identifier may be that of another slice: then both are in doubt.
        assert others <= used or "conflict" in {r.kind for r in index.rejected}
        rejected += path not in used
        for entry in index.series:
            try:
                with limited():
                    stacks = entry.stacks()
            except DicomError:
                continue
            assert sum(len(series.headers) for series in stacks) == len(entry.files)
    assert 0 < rejected < count
