"""What a structure set (RTSTRUCT) says: regions of interest and their contours, joined by number."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from fgf_keras.data.dicom.files import (
    AGAIN,
    odd_values,
    open_whole,
    refusing,
    required_text,
    text,
    whole_number,
)
from fgf_keras.data.dicom.refusal import DicomError

# mm; a coordinate further out is damage.
FARTHEST = 1e5
DECIMAL = b"0123456789+-.eE \\"


@dataclass(frozen=True, eq=False)
class Contour:
    """One contour as it is written.

    Attributes:
        points: (N, 3) patient mm.
        kind: ContourGeometricType, e.g. CLOSED_PLANAR.
        image_uids: the SOP instances that it names as its images; often none, or wrong ones.
    """

    points: np.ndarray
    kind: str
    image_uids: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Roi:
    """One region of interest.

    Attributes:
        number: ROINumber, its identity within the file.
        name: ROIName without blanks around it; not unique.
        frame_of_reference_uid: the coordinate system of its points, None where the file names none.
        contours: in file order; none for a region that was named but never drawn.
        fault: why the contours cannot be trusted, None where they can.
    """

    number: int
    name: str
    frame_of_reference_uid: str | None
    contours: tuple[Contour, ...]
    fault: DicomError | None = None


@dataclass(frozen=True, eq=False)
class StructureSet:
    """The regions of one RTSTRUCT file.

    Attributes:
        sop_uid, patient_id: identity; `patient_id` may be "".
        rois: by ROINumber, in file order.
        orphans: contour sets whose number names no region; they belong to none and are left out.
    """

    sop_uid: str
    patient_id: str
    rois: dict[int, Roi]
    orphans: int

    @property
    def names(self) -> dict[int, str]:
        """ROINumber to name, of the regions that have contours."""
        return {number: roi.name for number, roi in self.rois.items() if roi.contours}

    def roi(self, number: int) -> Roi:
        """One region.

        Raises:
            DicomError: `no_such_roi`, or the fault of that region.
        """
        if number not in self.rois:
            known = ", ".join(f"{roi.number} {roi.name!r}" for roi in self.rois.values()) or "none"
            raise DicomError("no_such_roi", f"There is no ROI {number}.", f"The file has: {known}.")
        if self.rois[number].fault:
            raise self.rois[number].fault
        return self.rois[number]


def read_structure_set(path: Path) -> StructureSet:
    """Read an RTSTRUCT file.

    A region whose contours are damaged does not keep the others from being read: it carries its fault.

    Raises:
        DicomError: a file that cannot be read or is cut short, `not_rtstruct`, or `ambiguous_roi` where one
            number names two regions.
    """
    opened = open_whole(path)
    with refusing(path):
        dataset = opened.dataset
        modality = required_text(dataset, "Modality")
        if modality != "RTSTRUCT":
            raise DicomError(
                "not_rtstruct", f"The file is no structure set but {modality}.", "Name an RTSTRUCT file."
            )
        drawn, twice = _contour_sets(dataset)
        frame = text(dataset, "FrameOfReferenceUID")
        rois = {}
        for item in dataset.get("StructureSetROISequence") or []:
            number = whole_number(item, "ROINumber")
            if number in rois:
                raise DicomError("ambiguous_roi", f"Two regions have the ROINumber {number}.", AGAIN)
            rois[number] = _roi(number, item, drawn.get(number), number in twice, frame)
        return StructureSet(
            sop_uid=required_text(dataset, "SOPInstanceUID"),
            patient_id=text(dataset, "PatientID") or "",
            rois=rois,
            orphans=len(set(drawn) - set(rois)),
        )


def _contour_sets(dataset):
    """ROINumber to its item in the contour sequence, and the numbers that come twice."""
    numbers, items = [], []
    for item in dataset.get("ROIContourSequence") or []:
        numbers.append(whole_number(item, "ReferencedROINumber"))
        items.append(item)
    return dict(zip(numbers, items)), {number for number, count in Counter(numbers).items() if count > 1}


def _roi(number, item, drawn, twice, frame):
    contours, fault = (), None
    try:
        if twice:
            raise DicomError("ambiguous_roi", "The file has two sets of contours for it.", AGAIN)
        contours = tuple(_contours(drawn)) if drawn is not None else ()
    except DicomError as error:
        fault = error.at(f"ROI {number}")
    return Roi(
        number=number,
        name=text(item, "ROIName") or "",
        frame_of_reference_uid=text(item, "ReferencedFrameOfReferenceUID") or frame,
        contours=contours,
        fault=fault,
    )


def _contours(drawn: Dataset):
    for item in drawn.get("ContourSequence") or []:
        with odd_values():
            points = _points(item)
            if len(points) != whole_number(item, "NumberOfContourPoints"):
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


def _points(item):
    """(N, 3) mm. Read from the bytes: pydicom's own conversion takes most of the time of a whole patient."""
    element = item.get_item("ContourData")
    raw = element.value if isinstance(element, RawDataElement) else None
    if element is None or raw is None:
        raw = b"\\".join(str(v).encode() for v in item.get("ContourData") or [])
    if raw.rstrip(b"\0").translate(None, DECIMAL):
        raise _bad_points("are no decimal numbers")
    try:
        values = np.array(raw.rstrip(b" \0").split(b"\\") if raw.strip(b" \0") else [], "S").astype(
            np.float64
        )
    except ValueError:
        raise _bad_points("are no decimal numbers") from None
    if values.size % 3 or not (abs(values) <= FARTHEST).all():
        raise _bad_points("are no points (x, y, z) of a patient")
    return values.reshape(-1, 3)


def _bad_points(what):
    return DicomError("bad_contour", f"The coordinates of a contour {what}.", AGAIN)
