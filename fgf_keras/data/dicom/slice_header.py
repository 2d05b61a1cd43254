"""Where one CT slice lies, from its header alone."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from sys import intern

import numpy as np
from pydicom import uid

from fgf_keras.data.dicom.files import (
    AGAIN,
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
# These also hold images without loss; the file should say which.
PERHAPS_LOSSY = {uid.JPEGLSNearLossless, uid.JPEG2000, uid.JPEG2000MC, uid.HTJ2K}


@dataclass(frozen=True, eq=False, slots=True)
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
        acquisition_number: AcquisitionNumber, None where the file has none that can be read.
        localizer: the file says that it is a scout view.
        lossy: the pixels went through a compression that changes values, by what the file says of itself or,
            where it says nothing, by what its transfer syntax allows.
        rescale_type: what rescaled values are by RescaleType, None where the file does not say.
        preamble: the file begins as the standard has it.

    Slices share the arrays of spacing and orientation where these are equal; none may be written to.
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
        """What deserves a look in a slice that is used."""
        values = {
            "lossy": self.lossy,
            "rescale_type": self.rescale_type not in (None, "HU"),
            "no_preamble": not self.preamble,
        }
        return {what: 1 for what, true in values.items() if true}


def read_slice_header(path: Path) -> SliceHeader:
    """Read one slice's header; no pixel is read.

    Raises:
        DicomError: a file that cannot be opened or is cut short, a tag that is missing or holds nonsense, a
            multi-frame image.
    """
    path = Path(path)
    with refusing(path):
        return slice_header(open_header(path, TAGS), path)


def slice_header(opened: OpenedFile, path: Path) -> SliceHeader:
    """The slice header in a file that is open already; raises as `read_slice_header` does."""
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
        # A cohort has thousands of slices with a few identities: one copy of each is enough.
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
        DicomError: `bad_tag`, vectors that are not of unit length or not at right angles within 1e-3.
    """
    return _orthonormal(tuple(cosines.tolist()))


@lru_cache(maxsize=1024)
def _orthonormal(cosines):
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
def _shared(values):
    return _frozen(np.array(values))


def _frozen(array):
    array.flags.writeable = False
    return array


def _acquisition_number(dataset):
    try:
        return whole_number(dataset, "AcquisitionNumber")
    except DicomError:  # it only helps to tell acquisitions apart
        return None


def _codes(dataset, keyword):
    try:
        return texts(dataset, keyword)
    except DicomError:  # what it says is of use, but nothing depends on it
        return []


def _is_lossy(syntax, compression):
    return (
        syntax in ALWAYS_LOSSY or "01" in compression or (syntax in PERHAPS_LOSSY and "00" not in compression)
    )


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
