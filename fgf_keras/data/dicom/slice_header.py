"""The header of one CT slice: identity and geometry, without pixels."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from sys import intern

import numpy as np
from pydicom import uid

from fgf_keras.data.dicom.files import (
    AGAIN,
    Elements,
    OpenedFile,
    number,
    numbers,
    open_header,
    refusing,
    required_text,
    text,
    texts,
    whole_number,
)
from fgf_keras.data.refusal import DicomError

TAGS = [
    "SOPClassUID",
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
    "AcquisitionNumber",
    "ImageType",
    "LossyImageCompression",
    "RescaleType",
]
# Direction cosines are often written with four or five digits.
UNIT_TOLERANCE = 1e-3
ALWAYS_LOSSY = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit}
ENHANCED = {uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage}
# These may also be lossless; the file should say so.
PERHAPS_LOSSY = {uid.JPEGLSNearLossless, uid.JPEG2000, uid.JPEG2000MC, uid.HTJ2K}


@dataclass(frozen=True, eq=False, slots=True)
class SliceHeader:
    """One slice: its file, its identity and its geometry.

    Attributes:
        path: of the file.
        sop_uid, series_uid, study_uid, patient_id, modality: identity; the third and fourth may be "".
        frame_of_reference_uid: the coordinate system; None if the file has none.
        rows, columns: number of pixels.
        pixel_spacing: (2,) mm between rows and between columns.
        thickness: mm; None if it is unknown.
        position: (3,) mm, patient coordinates of the centre of pixel (0, 0).
        orientation: (2, 3) orthonormal, the directions in which the column index and the row index grow.
        acquisition_number: AcquisitionNumber; None if it is missing or cannot be read.
        localizer: whether the slice is a scout view according to its header.
        lossy: whether the pixels were compressed lossily according to the header or, if it does not say,
            whether the transfer syntax allows it.
        rescale_type: RescaleType; None if it is missing.
        preamble: whether the file has the standard preamble.

    Slices share the arrays of spacing and orientation if these are equal; they are read-only.
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
    acquisition_number: int | None
    localizer: bool
    lossy: bool
    rescale_type: str | None
    preamble: bool

    @property
    def warnings(self) -> dict[str, int]:
        """The warnings of a slice, each counted once."""
        values = {
            "lossy": self.lossy,
            "rescale_type": self.rescale_type not in (None, "HU"),
            "no_preamble": not self.preamble,
        }
        return {what: 1 for what, applies in values.items() if applies}


def read_slice_header(path: Path) -> SliceHeader:
    """Read the header of one slice, without its pixels.

    Raises:
        DicomError: a file that cannot be opened or is truncated, a tag that is missing or invalid, a
            multi-frame image.
    """
    path = Path(path)
    with refusing(path):
        return slice_header(open_header(path, TAGS), path)


def slice_header(opened: OpenedFile[Elements], path: Path) -> SliceHeader:
    """The slice header of a file that is already open; raises as `read_slice_header` does."""
    dataset = opened.dataset
    enhanced = text(dataset, "SOPClassUID") in ENHANCED
    if enhanced or (number(dataset, "NumberOfFrames") or 1) > 1:
        raise DicomError(
            "multi_frame",
            f"{'An Enhanced CT' if enhanced else 'A multi-frame image'} holds its geometry frame by frame, "
            "which is not read.",
            "Convert the series to classic CT, one file per slice, e.g. with emf2sf of dcm4che.",
        )
    rows, columns = whole_number(dataset, "Rows"), whole_number(dataset, "Columns")
    bits = whole_number(dataset, "BitsAllocated")
    spacing = _shared(tuple(numbers(dataset, "PixelSpacing", 2).tolist()))
    if min(rows, columns) < 1 or spacing.min() <= 0:
        raise DicomError("bad_tag", "Rows, Columns and PixelSpacing must be positive.", AGAIN)
    _check_pixels(opened, rows * columns * bits // 8)
    thickness = number(dataset, "SliceThickness")
    return SliceHeader(
        path=path,
        sop_uid=required_text(dataset, "SOPInstanceUID"),
        # Interned, because thousands of slices share a few identities.
        series_uid=intern(required_text(dataset, "SeriesInstanceUID")),
        study_uid=intern(text(dataset, "StudyInstanceUID") or ""),
        patient_id=intern(text(dataset, "PatientID") or ""),
        modality=intern(required_text(dataset, "Modality")),
        frame_of_reference_uid=intern(text(dataset, "FrameOfReferenceUID") or "") or None,
        rows=rows,
        columns=columns,
        pixel_spacing=spacing,
        thickness=thickness if thickness and thickness > 0 else None,
        position=numbers(dataset, "ImagePositionPatient", 3),
        orientation=orthonormal(numbers(dataset, "ImageOrientationPatient", 6)),
        acquisition_number=_acquisition_number(dataset),
        localizer="LOCALIZER" in _codes(dataset, "ImageType"),
        lossy=_is_lossy(opened.transfer_syntax, _codes(dataset, "LossyImageCompression")),
        rescale_type=intern(" ".join(_codes(dataset, "RescaleType"))) or None,
        preamble=opened.preamble,
    )


def orthonormal(cosines: np.ndarray) -> np.ndarray:
    """(2, 3) orthonormal directions from the six direction cosines of a file.

    Raises:
        DicomError: `bad_tag` if the vectors are not of unit length or not orthogonal within 1e-3.
    """
    return _orthonormal(tuple(cosines.tolist()))


@lru_cache(maxsize=1024)
def _orthonormal(cosines: tuple[float, ...]) -> np.ndarray:
    along_columns, along_rows = np.reshape(cosines, (2, 3))
    lengths = np.linalg.norm([along_columns, along_rows], axis=1)
    if (abs(lengths - 1) > UNIT_TOLERANCE).any() or abs(along_columns @ along_rows) > UNIT_TOLERANCE:
        raise DicomError(
            "bad_tag", "ImageOrientationPatient does not hold two unit vectors at right angles.", AGAIN
        )
    along_columns = along_columns / lengths[0]
    along_rows = along_rows - (along_rows @ along_columns) * along_columns
    return _frozen(np.stack([along_columns, along_rows / np.linalg.norm(along_rows)]))


@lru_cache(maxsize=1024)
def _shared(values: tuple[float, ...]) -> np.ndarray:
    return _frozen(np.array(values))


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _acquisition_number(dataset: Elements) -> int | None:
    try:
        return whole_number(dataset, "AcquisitionNumber")
    except DicomError:  # it is only used to distinguish acquisitions
        return None


def _codes(dataset: Elements, keyword: str) -> list[str]:
    try:
        return texts(dataset, keyword)
    except DicomError:  # these codes are useful but not essential
        return []


def _is_lossy(syntax: uid.UID, compression: list[str]) -> bool:
    return (
        syntax in ALWAYS_LOSSY or "01" in compression or (syntax in PERHAPS_LOSSY and "00" not in compression)
    )


def _check_pixels(opened: OpenedFile[Elements], expected: int) -> None:
    """Detect a truncated file without decoding it."""
    if opened.pixel_bytes is None:
        return
    least = 1 if opened.transfer_syntax.is_compressed else expected
    # The first pixel is preceded by 8 bytes of tag and length.
    if opened.pixel_bytes < 8 + least:
        raise DicomError(
            "truncated",
            f"The file is truncated: {max(opened.pixel_bytes - 8, 0)} of {expected} bytes of pixels."
            if opened.pixel_bytes
            else "The file holds no pixels.",
            AGAIN,
        )
