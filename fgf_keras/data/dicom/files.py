"""Opening one DICOM file: what may be wrong with it is said, what is odd about it is counted."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
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

AGAIN = "Export or download it again."
# Tag and length of the first element of a file without a preamble; it is an identifier or a length.
FIRST_ELEMENT = Struct("<HHL")
LONGEST_FIRST = 256


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """What one file holds.

    Attributes:
        dataset: its elements by keyword; those that were asked for, or all.
        transfer_syntax: how it is encoded.
        size: bytes.
        pixel_bytes: bytes from the pixel data to the end of the file; 0 where there are none, None where
            that cannot be told without reading (deflated files).
        preamble: whether it begins with the preamble and the letters DICM.
    """

    dataset: Dataset | Mapping[str, Any]
    transfer_syntax: UID
    size: int
    pixel_bytes: int | None
    preamble: bool = True


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
    preamble = _has_preamble(stream)
    dataset = read_dataset(stream, stop_before_pixels=True, specific_tags=tags)
    syntax = _transfer_syntax(dataset)
    if syntax == DeflatedExplicitVRLittleEndian:
        return OpenedFile(dataset, syntax, size, None, preamble)
    # pydicom stops right before the pixel data, or behind what the lengths of a cut file promise.
    left = size - stream.tell()
    if left < 0:
        raise DicomError("truncated", "The file ends inside its header.", AGAIN)
    return OpenedFile(dataset, syntax, size, left, preamble)


def open_whole(path: Path) -> OpenedFile:
    """All elements of a file whose structure is checked from end to end.

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
        if syntax != DeflatedExplicitVRLittleEndian:  # decompression itself notices a missing end
            check_structure(
                data,
                implicit=syntax.is_implicit_VR,
                little_endian=syntax.is_little_endian,
                begin=PREAMBLE if preamble else 0,
            )
        return OpenedFile(dataset, syntax, len(data), None, preamble)


def read_dataset(file: Path | BinaryIO, **choices) -> Dataset:
    """As `pydicom.dcmread`, also of a file of the old kind, that begins with its first element.

    Raises:
        InvalidDicomError: neither a preamble nor an element of the groups that come first.
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


def _has_preamble(stream):
    begin = stream.tell()
    stream.seek(begin + PREAMBLE - 4)
    has_magic = stream.read(4) == b"DICM"
    stream.seek(begin)
    return has_magic


def _begins_with_element(stream):
    """Whether the first bytes are the tag and the length of an element of group 2 or 8."""
    begin = stream.tell()
    first = stream.read(8)
    left = stream.seek(0, os.SEEK_END) - begin - 8
    stream.seek(begin)
    if len(first) < 8:
        return False
    group, element, length = FIRST_ELEMENT.unpack(first)
    explicit = first[4:6].isalpha() and first[4:6].isupper()
    return group in (2, 8) and element < 0x100 and (explicit or length <= min(left, LONGEST_FIRST))


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
    if value is None:
        return None
    # A backslash in a name makes it several values.
    whole = value if isinstance(value, str) or not hasattr(value, "__iter__") else "\\".join(map(str, value))
    return str(whole).strip() or None


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
