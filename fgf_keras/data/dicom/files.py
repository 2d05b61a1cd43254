"""Opening a DICOM file and reading its elements, with errors that say what is wrong with the file."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, Generic, TypeVar

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from fgf_keras.data.dicom.plain import plain_header
from fgf_keras.data.dicom.structure import PREAMBLE, check_structure
from fgf_keras.data.refusal import DicomError

# The elements of a file, or of an item of a sequence, by keyword.
Elements = Dataset | Mapping[str, Any]
E = TypeVar("E", bound=Elements, covariant=True)

AGAIN = "Export or download it again."
# Tag and length of the first element of a file without a preamble; it is an identifier or a length.
FIRST_ELEMENT = Struct("<HHL")
LONGEST_FIRST = 256


@dataclass(frozen=True, eq=False)
class OpenedFile(Generic[E]):
    """The content of one file.

    Attributes:
        dataset: the requested elements by keyword, or all elements.
        transfer_syntax: the encoding of the file.
        size: of the file, in bytes.
        pixel_bytes: bytes from the pixel data to the end of the file; 0 without pixel data, None if this is
            unknown without reading them (deflated files).
        preamble: whether the file begins with the preamble and the letters DICM.
    """

    dataset: E
    transfer_syntax: UID
    size: int
    pixel_bytes: int | None
    preamble: bool = True


@contextmanager
def odd_values() -> Iterator[list[warnings.WarningMessage]]:
    """Collect the warnings of pydicom: values that violate the standard but can be read."""
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always", UserWarning)
        yield messages


def open_header(path: Path, tags: list[str]) -> OpenedFile[Elements]:
    """Read the elements named in `tags`, without the pixels.

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


def header_by_pydicom(stream: BinaryIO, size: int, tags: list[str]) -> OpenedFile[FileDataset]:
    """Like `open_header`, for any file that pydicom can read; a damaged file may raise any exception."""
    preamble = _has_preamble(stream)
    dataset = read_dataset(stream, stop_before_pixels=True, specific_tags=tags)
    syntax = _transfer_syntax(dataset)
    if syntax == DeflatedExplicitVRLittleEndian:
        return OpenedFile(dataset, syntax, size, None, preamble)
    # pydicom stops right before the pixel data or, in a truncated file, beyond its end.
    remaining = size - stream.tell()
    if remaining < 0:
        raise DicomError("truncated", "The file ends inside its header.", AGAIN)
    return OpenedFile(dataset, syntax, size, remaining, preamble)


def open_whole(path: Path) -> OpenedFile[FileDataset]:
    """Read all elements of a file, after checking the structure of the whole file.

    Raises:
        DicomError: `empty`, `not_dicom`, `unreadable` or `truncated`.
    """
    with refusing(path):
        data = Path(path).read_bytes()
        _check_size(len(data))
        stream = BytesIO(data)
        preamble = _has_preamble(stream)
        dataset = read_dataset(stream)
        syntax = _transfer_syntax(dataset)
        if syntax != DeflatedExplicitVRLittleEndian:  # decompression itself detects a missing end
            check_structure(
                data,
                implicit=syntax.is_implicit_VR,
                little_endian=syntax.is_little_endian,
                begin=PREAMBLE if preamble else 0,
            )
        return OpenedFile(dataset, syntax, len(data), None, preamble)


def read_dataset(file: Path | BinaryIO, **choices: Any) -> FileDataset:
    """Like `pydicom.dcmread`, also for old files without a preamble, which begin with their first element.

    Raises:
        InvalidDicomError: the file has neither a preamble nor an element of the first groups.
    """
    if isinstance(file, Path):
        with open(file, "rb") as stream:
            return read_dataset(stream, **choices)
    old = not _has_preamble(file) and _begins_with_element(file)
    dataset = pydicom.dcmread(file, force=old, **choices)
    if old and "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = plain if little else ExplicitVRBigEndian
    return dataset


def _has_preamble(stream: BinaryIO) -> bool:
    begin = stream.tell()
    stream.seek(begin + PREAMBLE - 4)
    has_magic = stream.read(4) == b"DICM"
    stream.seek(begin)
    return has_magic


def _begins_with_element(stream: BinaryIO) -> bool:
    """Whether the first bytes are the tag and the length of an element of group 2 or 8."""
    begin = stream.tell()
    first = stream.read(8)
    remaining = stream.seek(0, os.SEEK_END) - begin - 8
    stream.seek(begin)
    if len(first) < 8:
        return False
    group, element, length = FIRST_ELEMENT.unpack(first)
    explicit = first[4:6].isalpha() and first[4:6].isupper()
    return group in (2, 8) and element < 0x100 and (explicit or length <= min(remaining, LONGEST_FIRST))


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn any exception from reading a damaged file into a `DicomError` that names the file."""
    try:
        with odd_values():
            yield
    except DicomError as error:
        raise error.at(Path(path).name) from None
    except InvalidDicomError:
        raise DicomError(
            "not_dicom",
            "Not a DICOM file: it begins neither with a preamble and the letters DICM nor with an element.",
            "None needed if it is no DICOM file.",
            where=Path(path).name,
        ) from None
    except OSError as error:
        raise DicomError(
            "unreadable",
            f"The file cannot be opened: {error.strerror or 'input or output error'}.",
            "Check that it exists and may be read.",
            where=Path(path).name,
        ) from None
    except Exception as error:  # pydicom may raise any type for a damaged element
        raise DicomError(
            "unreadable",
            f"The file is damaged: reading it ends in {type(error).__name__}.",
            AGAIN,
            where=Path(path).name,
        ) from error


def text(dataset: Elements, keyword: str) -> str | None:
    """An identifier or code as text without surrounding blanks; None if it is missing or empty."""
    value = _value(dataset, keyword)
    if value is None:
        return None
    # A name with a backslash is read as several values.
    whole = value if isinstance(value, str) or not hasattr(value, "__iter__") else "\\".join(map(str, value))
    return str(whole).strip() or None


def texts(dataset: Elements, keyword: str) -> list[str]:
    """All values of an element with several codes, without surrounding blanks; empty if it is missing.

    Raises:
        DicomError: `bad_tag`.
    """
    value = _value(dataset, keyword)
    if value is None:
        return []
    return [str(one).strip() for one in ([value] if isinstance(value, str) else value)]


def required_text(dataset: Elements, keyword: str) -> str:
    """A required identifier.

    Raises:
        DicomError: `missing_tag`.
    """
    value = text(dataset, keyword)
    if value is None:
        raise _missing(keyword)
    return value


def numbers(dataset: Elements, keyword: str, count: int) -> np.ndarray:
    """(count,) float64, finite.

    Raises:
        DicomError: `missing_tag`, or `bad_tag` for a different count or values that are not finite numbers.
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


def number(dataset: Elements, keyword: str) -> float | None:
    """One finite number; None if the element is missing or empty.

    Raises:
        DicomError: `bad_tag`.
    """
    return None if _value(dataset, keyword) is None else float(numbers(dataset, keyword, 1)[0])


def whole_number(dataset: Elements, keyword: str) -> int:
    """A required integer.

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


def _value(dataset: Elements, keyword: str) -> Any:
    try:
        value = dataset.get(keyword)
    except Exception:  # the conversion of a damaged value may raise any type
        raise _bad(keyword, "cannot be read") from None
    if value is None or (hasattr(value, "__len__") and not len(value)):
        return None
    return value


def _missing(keyword: str) -> DicomError:
    return DicomError("missing_tag", f"{keyword} is missing or empty.", AGAIN)


def _bad(keyword: str, what: str) -> DicomError:
    return DicomError("bad_tag", f"{keyword} {what}.", AGAIN)


def _check_size(size: int) -> None:
    if not size:
        raise DicomError("empty", "The file has zero bytes.", AGAIN)


def _transfer_syntax(dataset: FileDataset) -> UID:
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
    if syntax is None or not syntax.is_transfer_syntax or syntax.is_private:
        raise DicomError(
            "unreadable",
            "The file does not say in which transfer syntax it is written, or in one that is not standard.",
            "Convert it to explicit VR little endian.",
        )
    return syntax
