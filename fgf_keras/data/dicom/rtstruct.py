"""Reading a structure set (RTSTRUCT): regions of interest and their contours, joined by number."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from fgf_keras.data.dicom.files import (
    AGAIN,
    number,
    odd_values,
    open_whole,
    refusing,
    required_text,
    text,
    whole_number,
)
from fgf_keras.data.refusal import DicomError

# mm; coordinates further out are damaged.
FARTHEST = 1e5
DECIMAL = b"0123456789+-.eE \\"


@dataclass(frozen=True, eq=False)
class Contour:
    """One contour as it is stored.

    Attributes:
        points: (N, 3) patient mm.
        kind: ContourGeometricType, e.g. CLOSED_PLANAR.
        image_uids: the SOP instances that it references as its images; often none, or wrong ones.
    """

    points: np.ndarray
    kind: str
    image_uids: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Roi:
    """One region of interest. Its contours are read on demand, because most regions are never used.

    Attributes:
        number: ROINumber, the identity of the region within the file.
        name: ROIName without surrounding blanks; not unique.
        frame_of_reference_uid: the coordinate system of the points; None if the file has none.
    """

    number: int
    name: str
    frame_of_reference_uid: str | None
    _path: Path
    _drawn: tuple[Dataset, ...]

    @property
    def contour_count(self) -> int:
        """Number of contours in the file; 0 for a region without contours, 1 if it cannot be determined."""
        try:
            with refusing(self._path):
                return sum(len(drawn.get("ContourSequence") or []) for drawn in self._drawn)
        except DicomError:
            return 1

    @cached_property
    def contours(self) -> tuple[Contour, ...]:
        """All contours, in file order.

        Raises:
            DicomError: they are damaged or ambiguous.
        """
        try:
            with refusing(self._path):
                if len(self._drawn) > 1:
                    raise DicomError("ambiguous_roi", "The file has two sets of contours for it.", AGAIN)
                return tuple(contour for drawn in self._drawn for contour in _contours(drawn))
        except DicomError as error:
            raise DicomError(error.kind, error.reason, error.remedy, where=f"ROI {self.number}") from None


@dataclass(frozen=True, eq=False)
class StructureSet:
    """The regions of one RTSTRUCT file.

    Attributes:
        sop_uid, patient_id: identity; `patient_id` may be "".
        rois: by ROINumber, in file order.
        series_uids: the series referenced in the header; often none, or wrong ones.
        orphans: number of contour sets whose number belongs to no region; they are ignored.
    """

    sop_uid: str
    patient_id: str
    rois: dict[int, Roi]
    series_uids: frozenset[str]
    orphans: int

    @property
    def names(self) -> dict[int, str]:
        """The names of the regions that have contours, by ROINumber."""
        return {number: roi.name for number, roi in self.rois.items() if roi.contour_count}

    def roi(self, number: int) -> Roi:
        """One region.

        Raises:
            DicomError: `no_such_roi`.
        """
        if number not in self.rois:
            regions = ", ".join(f"{roi.number} {roi.name!r}" for roi in self.rois.values()) or "none"
            raise DicomError("no_such_roi", f"There is no ROI {number}.", f"The file has: {regions}.")
        return self.rois[number]


def read_structure_set(path: Path) -> StructureSet:
    """Read an RTSTRUCT file.

    Damaged contours are detected when they are requested; they do not prevent others from being read.

    Raises:
        DicomError: a file that cannot be read or is truncated, `not_rtstruct`, or `ambiguous_roi` if two
            regions have one number.
    """
    opened = open_whole(path)
    with refusing(path):
        dataset = opened.dataset
        modality = required_text(dataset, "Modality")
        if modality != "RTSTRUCT":
            raise DicomError(
                "not_rtstruct", f"The file is not a structure set but {modality}.", "Name an RTSTRUCT file."
            )
        contour_sets = _contour_sets(dataset)
        frame = _frame_of_reference(dataset)
        rois: dict[int, Roi] = {}
        for item in dataset.get("StructureSetROISequence") or []:
            roi_number = whole_number(item, "ROINumber")
            if roi_number in rois:
                raise DicomError("ambiguous_roi", f"Two regions have the ROINumber {roi_number}.", AGAIN)
            rois[roi_number] = Roi(
                number=roi_number,
                name=text(item, "ROIName") or "",
                frame_of_reference_uid=text(item, "ReferencedFrameOfReferenceUID") or frame,
                _path=path,
                _drawn=tuple(contour_sets.get(roi_number, ())),
            )
        return StructureSet(
            sop_uid=required_text(dataset, "SOPInstanceUID"),
            patient_id=text(dataset, "PatientID") or "",
            rois=rois,
            series_uids=_series_uids(dataset),
            orphans=len(set(contour_sets) - set(rois)),
        )


def _frame_of_reference(dataset: Dataset) -> str | None:
    """The frame of reference of regions without one: that of the structure set."""
    items = dataset.get("ReferencedFrameOfReferenceSequence") or []
    frames = {text(item, "FrameOfReferenceUID") for item in items} - {None}
    return frames.pop() if len(frames) == 1 else text(dataset, "FrameOfReferenceUID")


def _series_uids(dataset: Dataset) -> frozenset[str]:
    return frozenset(
        uid
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []
        for study in frame.get("RTReferencedStudySequence") or []
        for series in study.get("RTReferencedSeriesSequence") or []
        if (uid := text(series, "SeriesInstanceUID"))
    )


def _contour_sets(dataset: Dataset) -> dict[int, list[Dataset]]:
    """The items of the contour sequence by ROINumber; more than one item is an error of that region."""
    sets: dict[int, list[Dataset]] = {}
    for item in dataset.get("ROIContourSequence") or []:
        sets.setdefault(whole_number(item, "ReferencedROINumber"), []).append(item)
    return sets


def _contours(drawn: Dataset) -> Iterator[Contour]:
    for item in drawn.get("ContourSequence") or []:
        with odd_values():
            points = _points(item)
            # Required, but some programs leave it out; the number follows from the coordinates.
            count = number(item, "NumberOfContourPoints")
            if count is not None and count != len(points):
                raise DicomError(
                    "bad_contour",
                    f"A contour claims {item.NumberOfContourPoints} points but holds {len(points)}.",
                    AGAIN,
                )
            uids = (
                text(image, "ReferencedSOPInstanceUID") for image in item.get("ContourImageSequence") or []
            )
            yield Contour(
                points=points,
                kind=required_text(item, "ContourGeometricType"),
                image_uids=tuple(uid for uid in uids if uid),
            )


def _points(item: Dataset) -> np.ndarray:
    """(N, 3) mm, converted from the bytes, because pydicom's conversion dominates the time of a patient."""
    element = item.get_item("ContourData")
    raw = element.value if isinstance(element, RawDataElement) else None
    if element is None or raw is None:
        raw = b"\\".join(str(v).encode() for v in item.get("ContourData") or [])
    if raw.rstrip(b"\0").translate(None, DECIMAL):
        raise _bad_points("are not decimal numbers")
    try:
        values = np.array(raw.rstrip(b" \0").split(b"\\") if raw.strip(b" \0") else [], "S").astype(
            np.float64
        )
    except ValueError:
        raise _bad_points("are not decimal numbers") from None
    if values.size % 3 or not (abs(values) <= FARTHEST).all():
        raise _bad_points("are not points (x, y, z) of a patient")
    return values.reshape(-1, 3)


def _bad_points(what: str) -> DicomError:
    return DicomError("bad_contour", f"The coordinates of a contour {what}.", AGAIN)
