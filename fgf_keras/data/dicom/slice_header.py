"""Where one CT slice lies, from its header alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fgf_keras.data.dicom.files import (
    AGAIN,
    OpenedFile,
    number,
    numbers,
    odd_values,
    open_header,
    refusing,
    required_text,
    text,
    whole_number,
)
from fgf_keras.data.dicom.refusal import DicomError

TAGS = [
    "SOPInstanceUID",
    "Modality",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "PixelSpacing",
    "SliceThickness",
    "ImagePositionPatient",
    "ImageOrientationPatient",
]
# Direction cosines are often written with four or five digits.
UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class SliceHeader:
    """One slice: its file, its identity and its geometry.

    Attributes:
        path: the file.
        sop_uid, series_uid, study_uid, patient_id, modality: identity; the third and fourth may be "".
        frame_of_reference_uid: the coordinate system, None where the file names none.
        rows, columns: pixels.
        pixel_spacing: (2,) mm between rows and between columns.
        thickness: mm, None where the file does not say.
        position: (3,) mm, patient coordinates of the centre of pixel (0, 0).
        orientation: (2, 3) orthonormal, the directions in which the column index and the row index grow.
    """

    path: Path
    sop_uid: str
    series_uid: str
    study_uid: str
    patient_id: str
    modality: str
    frame_of_reference_uid: str | None
    rows: int
    columns: int
    pixel_spacing: np.ndarray
    thickness: float | None
    position: np.ndarray
    orientation: np.ndarray


def read_slice_header(path: Path) -> SliceHeader:
    """Read one slice's header; no pixel is read.

    Raises:
        DicomError: a file that cannot be opened or is cut short, a tag that is missing or holds nonsense, a
            multi-frame image.
    """
    opened = open_header(path, TAGS)
    with refusing(path):
        return slice_header(opened, path)


def slice_header(opened: OpenedFile, path: Path) -> SliceHeader:
    """The slice header in a file that is open already; raises as `read_slice_header` does."""
    dataset = opened.dataset
    with odd_values():
        if (number(dataset, "NumberOfFrames") or 1) > 1:
            raise DicomError(
                "multi_frame",
                "A multi-frame image holds its geometry frame by frame, which is not read.",
                "Convert the series to one file a slice.",
            )
        rows, columns = whole_number(dataset, "Rows"), whole_number(dataset, "Columns")
        bits = whole_number(dataset, "BitsAllocated")
        spacing = numbers(dataset, "PixelSpacing", 2)
        if min(rows, columns) < 1 or (spacing <= 0).any():
            raise DicomError("bad_tag", "Rows, Columns and PixelSpacing must be positive.", AGAIN)
        _check_pixels(opened, rows * columns * bits // 8)
        thickness = number(dataset, "SliceThickness")
        return SliceHeader(
            path=Path(path),
            sop_uid=required_text(dataset, "SOPInstanceUID"),
            series_uid=required_text(dataset, "SeriesInstanceUID"),
            study_uid=text(dataset, "StudyInstanceUID") or "",
            patient_id=text(dataset, "PatientID") or "",
            modality=required_text(dataset, "Modality"),
            frame_of_reference_uid=text(dataset, "FrameOfReferenceUID"),
            rows=rows,
            columns=columns,
            pixel_spacing=spacing,
            thickness=thickness if thickness and thickness > 0 else None,
            position=numbers(dataset, "ImagePositionPatient", 3),
            orientation=orthonormal(numbers(dataset, "ImageOrientationPatient", 6)),
        )


def orthonormal(cosines: np.ndarray) -> np.ndarray:
    """(2, 3) orthonormal directions from the six direction cosines of a file.

    Raises:
        DicomError: `bad_tag`, vectors that are not of unit length or not at right angles within 1e-3.
    """
    along_columns, along_rows = cosines.reshape(2, 3)
    lengths = np.linalg.norm([along_columns, along_rows], axis=1)
    if (abs(lengths - 1) > UNIT_TOLERANCE).any() or abs(along_columns @ along_rows) > UNIT_TOLERANCE:
        raise DicomError(
            "bad_tag", "ImageOrientationPatient does not hold two unit vectors at right angles.", AGAIN
        )
    along_columns = along_columns / lengths[0]
    along_rows = along_rows - (along_rows @ along_columns) * along_columns
    return np.stack([along_columns, along_rows / np.linalg.norm(along_rows)])


def _check_pixels(opened, expected):
    """Notice a file that was cut short without decoding it."""
    if opened.pixel_bytes is None:
        return
    needed = 1 if opened.transfer_syntax.is_compressed else expected
    # 8 bytes of tag and length come before the first pixel.
    if opened.pixel_bytes < 8 + needed:
        raise DicomError(
            "truncated",
            f"The file is truncated: {max(opened.pixel_bytes - 8, 0)} of {expected} bytes of pixels."
            if opened.pixel_bytes
            else "The file holds no pixels.",
            AGAIN,
        )
