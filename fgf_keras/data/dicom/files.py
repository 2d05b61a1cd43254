"""Opening one DICOM file: what may be wrong with it is said, what is odd about it is counted."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from fgf_keras.data.dicom.refusal import DicomError
from fgf_keras.data.dicom.structure import check_structure

AGAIN = "Export or download it again."


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """What one file holds.

    Attributes:
        dataset: its elements; those that were asked for, or all.
        transfer_syntax: how it is encoded.
        pixel_bytes: bytes from the pixel data to the end of the file; 0 where there are none, None where
            that cannot be told without reading (deflated files).
    """

    dataset: Dataset
    transfer_syntax: UID
    pixel_bytes: int | None


@contextmanager
def odd_values() -> Iterator[list]:
    """Collect what pydicom warns about: values that bend the standard but can be read."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield caught


def open_header(path: Path, tags: list[str]) -> OpenedFile:
    """The elements named in `tags`, without reading pixels.

    Raises:
        DicomError: `empty`, `not_dicom`, `unreadable` or `truncated`.
    """
    with refusing(path), open(path, "rb") as stream:
        size = _size(stream)
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=tags)
        syntax = _transfer_syntax(dataset)
        if syntax == DeflatedExplicitVRLittleEndian:
            return OpenedFile(dataset, syntax, None)
        # pydicom stops right before the pixel data, or behind what the lengths of a cut file promise.
        left = size - stream.tell()
        if left < 0:
            raise DicomError("truncated", "The file ends inside its header.", AGAIN)
        return OpenedFile(dataset, syntax, left)


def open_whole(path: Path) -> OpenedFile:
    """All elements of a file whose structure is checked from end to end.

    Raises:
        DicomError: `empty`, `not_dicom`, `unreadable` or `truncated`.
    """
    with refusing(path):
        data = Path(path).read_bytes()
        _size(BytesIO(data))
        dataset = pydicom.dcmread(BytesIO(data))
        syntax = _transfer_syntax(dataset)
        if syntax != DeflatedExplicitVRLittleEndian:  # decompression itself notices a missing end
            check_structure(data, implicit=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
        return OpenedFile(dataset, syntax, None)


@contextmanager
def refusing(path: Path):
    """Turn whatever a damaged file makes a reader raise into a DicomError that names the file."""
    try:
        with odd_values():
            yield
    except DicomError as error:
        raise error.at(Path(path).name) from None
    except InvalidDicomError:
        raise DicomError(
            "not_dicom",
            "Not a DICOM file: the letters DICM are missing behind the preamble.",
            "Remove it, or rewrite it with a preamble if it is one of the old kind.",
            where=Path(path).name,
        ) from None
    except OSError as error:
        raise DicomError(
            "unreadable",
            f"The file cannot be opened: {error.strerror or 'input or output error'}.",
            "Check that it exists and may be read.",
            where=Path(path).name,
        ) from None
    except Exception as error:  # pydicom raises whatever a damaged element leads to
        raise DicomError(
            "unreadable",
            f"The file is damaged: reading it ends in {type(error).__name__}.",
            AGAIN,
            where=Path(path).name,
        ) from error


def text(dataset: Dataset, keyword: str) -> str | None:
    """An identifier or code as text without blanks around it; None where it is absent or empty."""
    value = _value(dataset, keyword)
    return str(value).strip() or None if value is not None else None


def required_text(dataset: Dataset, keyword: str) -> str:
    """An identifier that must be there.

    Raises:
        DicomError: `missing_tag`.
    """
    value = text(dataset, keyword)
    if value is None:
        raise _missing(keyword)
    return value


def numbers(dataset: Dataset, keyword: str, count: int) -> np.ndarray:
    """(count,) float64, finite.

    Raises:
        DicomError: `missing_tag`, or `bad_tag` for another count or values that are no finite numbers.
    """
    value = _value(dataset, keyword)
    if value is None:
        raise _missing(keyword)
    try:
        array = np.atleast_1d(np.array(value, np.float64))
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise _bad(keyword, f"must hold {count} finite numbers")
    return array


def number(dataset: Dataset, keyword: str) -> float | None:
    """One finite number; None where the element is absent or empty.

    Raises:
        DicomError: `bad_tag`.
    """
    return None if _value(dataset, keyword) is None else float(numbers(dataset, keyword, 1)[0])


def whole_number(dataset: Dataset, keyword: str) -> int:
    """One integer that must be there.

    Raises:
        DicomError: `missing_tag` or `bad_tag`.
    """
    value = numbers(dataset, keyword, 1)[0]
    if value != int(value):
        raise _bad(keyword, "must hold an integer")
    return int(value)


def _value(dataset, keyword):
    try:
        value = dataset.get(keyword)
    except Exception:  # the conversion of a damaged value raises whatever it meets
        raise _bad(keyword, "cannot be read") from None
    if value is None or (hasattr(value, "__len__") and not len(value)):
        return None
    return value


def _missing(keyword):
    return DicomError("missing_tag", f"{keyword} is missing or empty.", AGAIN)


def _bad(keyword, what):
    return DicomError("bad_tag", f"{keyword} {what}.", AGAIN)


def _size(stream):
    size = stream.seek(0, 2)
    stream.seek(0)
    if not size:
        raise DicomError("empty", "The file has zero bytes.", AGAIN)
    return size


def _transfer_syntax(dataset):
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
    if syntax is None or not syntax.is_transfer_syntax or syntax.is_private:
        raise DicomError(
            "unreadable",
            "The file does not say in which transfer syntax it is written, or in one that is not standard.",
            "Convert it to explicit VR little endian.",
        )
    return syntax
