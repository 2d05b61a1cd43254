"""Reading DICOM segmentations (SEG) as masks on a CT series, by geometry."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from fgf_keras.data.dicom.decoders import decode_pixels
from fgf_keras.data.dicom.files import (
    AGAIN,
    number,
    numbers,
    open_whole,
    refusing,
    required_text,
    text,
    whole_number,
)
from fgf_keras.data.dicom.series import ORIENTATION_TOLERANCE, Series
from fgf_keras.data.dicom.slice_header import orthonormal
from fgf_keras.data.prepared.masks import MaskStack
from fgf_keras.data.refusal import OTHER_FRAME, DicomError

# Deviation of the corners of a frame from the grid of the series in pixels: without, and with a warning.
GRID_TOLERANCE, GRID_LIMIT = 1e-3, 0.05
# The same for its plane: mm, because positions are often written with two decimals; and relative to the gap.
PLANE_TOLERANCE, PLANE_LIMIT = 0.02, 0.05


@dataclass(frozen=True, eq=False)
class SegmentMask(MaskStack):
    """One segment.

    Attributes:
        number: SegmentNumber.
        label: SegmentLabel without surrounding blanks.
        off_grid: number of frames that deviate from the grid, by less than is visible.
    """

    number: int
    label: str
    off_grid: int


def read_segment_labels(path: Path) -> dict[int, str]:
    """The SegmentLabels of a SEG file by SegmentNumber.

    Raises:
        DicomError: a file that cannot be read or is truncated, `not_seg`.
    """
    with refusing(path):
        return _labels(_open(path))


def read_referenced_series(path: Path) -> set[str]:
    """The SeriesInstanceUIDs of the images referenced by a SEG file; often none.

    Raises:
        DicomError: as `read_segment_labels`.
    """
    with refusing(path):
        uids = (text(item, "SeriesInstanceUID") for item in _open(path).get("ReferencedSeriesSequence") or [])
        return {uid for uid in uids if uid}


def read_segmentation(
    path: Path, series: Series, *, threshold: float = 0.5, same_frame: bool = True
) -> dict[int, SegmentMask]:
    """Read all segments of a SEG file as masks on the grid of a series.

    Frames may be in any order, and empty ones may be missing; segments may overlap. A frame may cover a part
    of the image, and have its rows and columns flipped or swapped, as long as its pixels coincide with pixels
    of the series.

    Args:
        path: of the file.
        series: the grid.
        threshold: smallest share of MaximumFractionalValue for which a pixel of a FRACTIONAL segment is
            inside, in (0, 1].
        same_frame: refuse a segmentation in another frame of reference than the series, as in
            `rasterise_roi`.

    Returns:
        The mask of each segment by SegmentNumber, in ascending order; a segment without a pixel has an empty
        mask.

    Raises:
        DicomError: a file that cannot be read or is truncated, `not_seg`, `unknown_kind` of segmentation,
            `other_frame` of reference, `off_grid` for frames that do not coincide with pixels and slices of
            the series, `duplicate_frame`, `bad_pixels`, `no_such_segment`.
    """
    if not 0 < threshold <= 1:
        raise DicomError("bad_threshold", f"Received: a threshold of {threshold}.", "Choose one in (0, 1].")
    with refusing(path):
        dataset = _open(path)
        labels = _labels(dataset)
        if same_frame:
            _check_frame_of_reference(dataset, series)
        frames = _frames(dataset, threshold)
        planes: dict[int, dict[int, np.ndarray]] = {segment: {} for segment in labels}
        off_grid = dict.fromkeys(labels, 0)
        for i, pixels in enumerate(frames):
            group = _FrameGroups(dataset, i)
            segment = whole_number(group.item("SegmentIdentificationSequence"), "ReferencedSegmentNumber")
            if segment not in planes:
                raise DicomError(
                    "no_such_segment", f"Frame {i + 1} is of segment {segment}, not listed.", AGAIN
                )
            if not pixels.any():
                continue
            index, plane, beside = _place(group, pixels, series, i + 1)
            off_grid[segment] += beside
            if index in planes[segment]:
                raise DicomError(
                    "duplicate_frame",
                    f"Segment {segment} has two frames at {series.positions[index]:.2f} mm.",
                    "Export the segmentation with one frame per slice and segment.",
                )
            planes[segment][index] = plane
        return {
            segment: SegmentMask(
                series.shape,
                dict(sorted(planes[segment].items())),
                segment,
                labels[segment],
                off_grid[segment],
            )
            for segment in sorted(planes)
        }


class _FrameGroups:
    """The functional groups of one frame: its own, and those shared by all frames."""

    def __init__(self, dataset: Dataset, index: int) -> None:
        self.own = dataset.PerFrameFunctionalGroupsSequence[index]
        self.shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        self.number = index + 1

    def item(self, keyword: str) -> Dataset:
        """The first item of a sequence in the functional groups of the frame."""
        for group in (self.own, self.shared):
            if group.get(keyword):
                return group[keyword].value[0]
        raise DicomError("missing_tag", f"Frame {self.number} has no {keyword}.", AGAIN)


def _open(path: Path) -> FileDataset:
    dataset = open_whole(path).dataset
    modality = required_text(dataset, "Modality")
    if modality != "SEG":
        raise DicomError("not_seg", f"The file is not a segmentation but {modality}.", "Name a SEG file.")
    return dataset


def _labels(dataset: Dataset) -> dict[int, str]:
    labels = {}
    for item in dataset.get("SegmentSequence") or []:
        segment = whole_number(item, "SegmentNumber")
        if segment in labels:
            raise DicomError("ambiguous_segment", f"Two segments have the number {segment}.", AGAIN)
        labels[segment] = text(item, "SegmentLabel") or ""
    return labels


def _check_frame_of_reference(dataset: Dataset, series: Series) -> None:
    theirs, ours = text(dataset, "FrameOfReferenceUID"), series.frame_of_reference_uid
    if theirs and ours and theirs != ours:
        raise DicomError(
            "other_frame",
            "The segmentation lies in another frame of reference than the series.",
            OTHER_FRAME,
        )


def _frames(dataset: FileDataset, threshold: float) -> np.ndarray:
    """(frames, rows, columns) bool."""
    kind = required_text(dataset, "SegmentationType")
    if kind not in ("BINARY", "FRACTIONAL"):
        raise DicomError(
            "unknown_kind", f"The segmentation is of type {kind}.", "Export it as BINARY or FRACTIONAL."
        )
    shape = tuple(whole_number(dataset, keyword) for keyword in ("NumberOfFrames", "Rows", "Columns"))
    if min(shape) < 1 or len(dataset.get("PerFrameFunctionalGroupsSequence") or []) != shape[0]:
        raise DicomError("bad_pixels", "The number of frames contradicts their descriptions.", AGAIN)
    _check_length(dataset, shape)
    values = decode_pixels(dataset).reshape(shape)
    if kind == "BINARY":
        if values.max() > 1:
            raise DicomError("bad_pixels", "A BINARY segmentation holds other values than 0 and 1.", AGAIN)
        return values > 0
    largest = number(dataset, "MaximumFractionalValue")
    if not largest or largest < 0 or values.max() > largest:
        raise DicomError("bad_pixels", "MaximumFractionalValue contradicts the pixels.", AGAIN)
    return values >= threshold * largest


def _check_length(dataset: FileDataset, shape: tuple[int, ...]) -> None:
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    # Frames of a binary segmentation are packed bit by bit; a frame may begin inside a byte.
    length = (int(np.prod(shape)) * whole_number(dataset, "BitsAllocated") + 7) // 8
    if len(dataset.get("PixelData") or b"") not in (length, length + length % 2):
        raise DicomError(
            "bad_pixels", "The length of the pixel data contradicts the number of frames.", AGAIN
        )


def _place(
    group: _FrameGroups, pixels: np.ndarray, series: Series, frame: int
) -> tuple[int, np.ndarray, bool]:
    """The slice index of a frame, its pixels on the grid of the series, and whether it is off the grid."""
    cosines = orthonormal(numbers(group.item("PlaneOrientationSequence"), "ImageOrientationPatient", 6))
    spacing = numbers(group.item("PixelMeasuresSequence"), "PixelSpacing", 2)
    position = numbers(group.item("PlanePositionSequence"), "ImagePositionPatient", 3)
    pixels, cosines, spacing, position = _turned(pixels, cosines, spacing, position, series)
    if abs(cosines - series.orientation[:2]).max() > ORIENTATION_TOLERANCE:
        raise _off_grid(frame, "has another orientation than the slices")
    height = position @ series.orientation[2]
    index = int(np.argmin(abs(series.positions - height)))
    above = abs(height - series.positions[index])
    gap = 2 * series.half_gaps[index].min()
    if above > max(PLANE_TOLERANCE, PLANE_LIMIT * gap):
        raise _off_grid(frame, f"does not lie on a slice: it is {above:.2f} mm off the nearest")
    last = np.array(pixels.shape) - 1
    # In the directions of the frame: a difference in spacing or angle is largest at the far corner.
    far = position + last[1] * spacing[1] * cosines[0] + last[0] * spacing[0] * cosines[1]
    corners = series.to_pixels(np.stack([position, far]), index)[:, :2]
    first = np.round(corners[0]).astype(int)
    beside = abs(corners - (first, first + last)).max()
    if beside > GRID_LIMIT:
        raise _off_grid(frame, f"does not lie on the pixels of the slices: it is up to {beside:.2f} px off")
    if (first < 0).any() or (first + last >= series.shape[1:]).any():
        raise _off_grid(frame, "reaches beyond the slices")
    plane = np.zeros(series.shape[1:], bool)
    plane[first[0] : first[0] + pixels.shape[0], first[1] : first[1] + pixels.shape[1]] = pixels
    return index, plane, bool(above > PLANE_TOLERANCE or beside > GRID_TOLERANCE)


def _turned(
    pixels: np.ndarray, cosines: np.ndarray, spacing: np.ndarray, position: np.ndarray, series: Series
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A frame whose rows and columns are flipped or swapped to the order of those of the series."""
    along = cosines @ series.orientation[:2].T
    if abs(along[0, 1]) > abs(along[0, 0]):
        pixels, cosines, spacing, along = pixels.T, cosines[::-1], spacing[::-1], along[::-1]
    # The directions in which the column index and the row index grow.
    if along[0, 0] < 0:
        position = position + (pixels.shape[1] - 1) * spacing[1] * cosines[0]
        pixels, cosines = pixels[:, ::-1], cosines * [[-1], [1]]
    if along[1, 1] < 0:
        position = position + (pixels.shape[0] - 1) * spacing[0] * cosines[1]
        pixels, cosines = pixels[::-1], cosines * [[1], [-1]]
    return pixels, cosines, spacing, position


def _off_grid(frame: int, what: str) -> DicomError:
    return DicomError(
        "off_grid", f"Frame {frame} of the segmentation {what}.", "Take the CT series that it was drawn on."
    )
