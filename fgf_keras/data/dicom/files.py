"""Opening one DICOM file: what may be wrong with it is said, what is odd about it is counted."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from fgf_keras.data.dicom.plain import plain_header
from fgf_keras.data.dicom.refusal import DicomError
from fgf_keras.data.dicom.structure import check_structure

AGAIN = "Export or download it again."


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """What one file holds.

    Attributes:
        dataset: its elements by keyword; those that were asked for, or all.
        transfer_syntax: how it is encoded.
        size: bytes.
        pixel_bytes: bytes from the pixel data to the end of the file; 0 where there are none, None where
            that cannot be told without reading (deflated files).
    """

    dataset: Dataset | Mapping[str, Any]
    transfer_syntax: UID
    size: int
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
        size = os.fstat(stream.fileno()).st_size
        _check_size(size)
        plain = plain_header(stream, size, tags)
        if plain is None:
            stream.seek(0)
            return header_by_pydicom(stream, size, tags)
        elements, syntax, behind = plain
        return OpenedFile(elements, syntax, size, size - behind)


def header_by_pydicom(stream: BinaryIO, size: int, tags: list[str]) -> OpenedFile:
    """What `open_header` gives, of any file that pydicom can read; a damaged one raises anything."""
    dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=tags)
    syntax = _transfer_syntax(dataset)
    if syntax == DeflatedExplicitVRLittleEndian:
        return OpenedFile(dataset, syntax, size, None)
    # pydicom stops right before the pixel data, or behind what the lengths of a cut file promise.
    left = size - stream.tell()
    if left < 0:
        raise DicomError("truncated", "The file ends inside its header.", AGAIN)
    return OpenedFile(dataset, syntax, size, left)


def open_whole(path: Path) -> OpenedFile:
    """All elements of a file whose structure is checked from end to end.

    Raises:
        DicomError: `empty`, `not_dicom`, `unreadable` or `truncated`.
    """
    with refusing(path):
        data = Path(path).read_bytes()
        _check_size(len(data))
        dataset = pydicom.dcmread(BytesIO(data))
        syntax = _transfer_syntax(dataset)
        if syntax != DeflatedExplicitVRLittleEndian:  # decompression itself notices a missing end
            check_structure(data, implicit=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
        return OpenedFile(dataset, syntax, len(data), None)


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
            "None needed if it is no DICOM file; one of the old kind must be rewritten with a preamble.",
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


def text(dataset: Dataset | Mapping, keyword: str) -> str | None:
    """An identifier or code as text without blanks around it; None where it is absent or empty."""
    value = _value(dataset, keyword)
    return str(value).strip() or None if value is not None else None


def texts(dataset: Dataset | Mapping, keyword: str) -> list[str]:
    """All values of an element of several codes, without blanks around them; none where it is absent.

    Raises:
        DicomError: `bad_tag`.
    """
    value = _value(dataset, keyword)
    if value is None:
        return []
    return [str(one).strip() for one in ([value] if isinstance(value, str) else value)]


def required_text(dataset: Dataset | Mapping, keyword: str) -> str:
    """An identifier that must be there.

    Raises:
        DicomError: `missing_tag`.
    """
    value = text(dataset, keyword)
    if value is None:
        raise _missing(keyword)
    return value


def numbers(dataset: Dataset | Mapping, keyword: str, count: int) -> np.ndarray:
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


def number(dataset: Dataset | Mapping, keyword: str) -> float | None:
    """One finite number; None where the element is absent or empty.

    Raises:
        DicomError: `bad_tag`.
    """
    return None if _value(dataset, keyword) is None else float(numbers(dataset, keyword, 1)[0])


def whole_number(dataset: Dataset | Mapping, keyword: str) -> int:
    """One integer that must be there.

    Raises:
        DicomError: `missing_tag` or `bad_tag`.
    """
    value = _value(dataset, keyword)
    if type(value) is int:
        return value
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


def _check_size(size):
    if not size:
        raise DicomError("empty", "The file has zero bytes.", AGAIN)


def _transfer_syntax(dataset):
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
    if syntax is None or not syntax.is_transfer_syntax or syntax.is_private:
        raise DicomError(
            "unreadable",
            "The file does not say in which transfer syntax it is written, or in one that is not standard.",
            "Convert it to explicit VR little endian.",
        )
    return syntax
