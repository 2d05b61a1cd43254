"""A fast reader for a few elements of ordinary files, from their first bytes.

pydicom creates an object for every element on the way, which takes most of the time of preparing a cohort.
This reader skips elements by their lengths. For ordinary files, it returns the same values as pydicom; all
other files (damage, values that violate the standard, rare transfer syntaxes and character sets) are left to
pydicom, including their errors.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from struct import Struct, error
from typing import Any, BinaryIO

from pydicom import uid
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from fgf_keras.data.dicom.structure import DEEPEST, ITEM, ITEM_END, PREAMBLE, SEQUENCE_END, UNDEFINED

# Headers of CT slices have 2 to 10 KiB; a structure set consists of a header only.
READ_SIZES = (8 * 1024, 64 * 1024, 4 * 1024 * 1024)
# Layouts by byte order: tag, representation and short length; tag and long length; long length; number.
STRUCTS = {order: tuple(Struct(order + form) for form in ("HH2sH", "HHL", "L", "H")) for order in "<>"}
SHORT = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_16)
LONG = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
TRANSFER_SYNTAX, CHARACTER_SET = 0x00020010, 0x00080005
SYNTAXES = {
    str(syntax).encode(): syntax
    for syntax in (
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        *uid.RLETransferSyntaxes,
        *uid.JPEGTransferSyntaxes,
        *uid.JPEGLSTransferSyntaxes,
        *uid.JPEG2000TransferSyntaxes,
    )
}
ENCODINGS = {b"": "ascii", b"ISO_IR 6": "ascii", b"ISO_IR 100": "latin-1", b"ISO_IR 192": "utf-8"}
IDENTIFIER = re.compile(rb"[0-9.]{1,64}[\0 ]?")
CODES = re.compile(rb"[A-Z0-9_ \\]*")
# The number of digits is limited, so that no value overflows.
DECIMAL = rb" *[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})? *"
DECIMALS = re.compile(DECIMAL + rb"(?:\\" + DECIMAL + rb")*")
INTEGER = re.compile(rb" *[+-]?\d{1,9} *")


class _Unusual(Exception):
    """A file that is left to pydicom."""


def plain_header(
    stream: BinaryIO, size: int, keywords: Sequence[str]
) -> tuple[dict[str, Any], uid.UID, int] | None:
    """Read elements of the top level of a file.

    Args:
        stream: the file, at its beginning.
        size: of the file, in bytes.
        keywords: the requested elements.

    Returns:
        Values by keyword (text as str, several codes as a list, decimals as a list of float, integers as
        int, a sequence as a list of such dictionaries; missing and empty values are left out), the transfer
        syntax, and the position of the pixel data or of the end of the file. None for any file that is not
        ordinary.
    """
    wanted = _wanted(tuple(keywords))
    data = b""
    for limit in READ_SIZES:
        data += stream.read(limit - len(data))
        try:
            return _Header(data, size, wanted).read()
        except _Unusual:
            return None
        except error:  # the header continues after the bytes read so far
            if len(data) == size:
                return None
    return None


@cache
def _wanted(keywords: tuple[str, ...]) -> dict[int, tuple[str, bytes]]:
    """Keyword and value representation by tag."""
    tags = (tag_for_keyword(keyword) for keyword in keywords)
    wanted = {tag: (keyword_for_tag(tag), dictionary_VR(tag).encode()) for tag in tags if tag is not None}
    return {CHARACTER_SET: ("SpecificCharacterSet", b"CS"), **wanted}


class _Header:
    """The walk over the first bytes of a file; raises `struct.error` if it needs more bytes."""

    def __init__(self, data: bytes, size: int, wanted: dict[int, tuple[str, bytes]]) -> None:
        self.data, self.size, self.wanted = data, size, wanted
        self.values: dict[str, Any] = {}
        self.encoding = "ascii"

    def read(self) -> tuple[dict[str, Any], uid.UID, int]:
        if self.data[128:PREAMBLE] != b"DICM":
            raise _Unusual
        self._write_as(implicit=False, order="<")
        syntax, position = self._meta()
        self._write_as(
            implicit=syntax == uid.ImplicitVRLittleEndian,
            order=">" if syntax == uid.ExplicitVRBigEndian else "<",
        )
        # pydicom checks whether the first element has a value representation, regardless of the syntax.
        if self.implicit and all(0x40 < byte < 0x5B for byte in self.data[position + 4 : position + 6]):
            raise _Unusual
        return self.values, syntax, self._elements(position)

    def _write_as(self, implicit: bool, order: str) -> None:
        self.implicit = implicit
        self.short, self.long, self.length, self.number = (form.unpack_from for form in STRUCTS[order])

    def _meta(self) -> tuple[uid.UID, int]:
        """The transfer syntax, and the position of the data set."""
        position, previous, syntax = PREAMBLE, 0, None
        while self.data[position : position + 2] == b"\2\0":
            tag, vr, length, value = self._header(position)
            position = value + length
            if tag <= previous or position > len(self.data):
                raise _Unusual
            previous = tag
            if tag == TRANSFER_SYNTAX and vr == b"UI":
                syntax = SYNTAXES.get(self.data[value:position].rstrip(b"\0"))
        if syntax is None:
            raise _Unusual
        return syntax, position

    def _header(self, position: int) -> tuple[int, bytes | None, int, int]:
        """Tag, value representation (None if implicit), length and position of the value."""
        if self.implicit:
            group, element, length = self.long(self.data, position)
            return group << 16 | element, None, length, position + 8
        group, element, vr, length = self.short(self.data, position)
        if vr in SHORT:
            return group << 16 | element, vr, length, position + 8
        if vr not in LONG:
            raise _Unusual
        return group << 16 | element, vr, self.length(self.data, position + 8)[0], position + 12

    def _elements(self, position: int) -> int:
        """Store the requested values; returns the position of the pixel data or of the end of the file."""
        header, wanted, size = self._header, self.wanted, self.size
        previous = 0x0002FFFF
        while position < size:
            tag, vr, length, value = header(position)
            if tag <= previous or tag >= 0xFFFE0000:
                raise _Unusual
            if tag in PIXELS:
                return position
            previous = tag
            if tag in wanted:
                position = self._keep(tag, vr, length, value, self.values, 0)
            elif length == UNDEFINED:
                position = self._behind_sequence(tag, vr, length, value, 0)
            else:
                position = value + length
        if position > size:
            raise _Unusual
        return position

    def _behind_sequence(
        self,
        tag: int,
        vr: bytes | None,
        length: int,
        position: int,
        depth: int,
        items: list[dict[str, Any]] | None = None,
    ) -> int:
        """The position after a sequence; if there is a list `items`, the values of each item are appended."""
        if depth > DEEPEST or not (_may_hold_items(tag) if self.implicit else vr == b"SQ"):
            raise _Unusual
        end = position + length
        while length == UNDEFINED or position < end:
            group, element, item_length = self.long(self.data, position)
            tag = group << 16 | element
            position += 8
            if tag == SEQUENCE_END and length == UNDEFINED:
                return position
            if tag != ITEM:
                raise _Unusual
            values: dict[str, Any] | None = None if items is None else {}
            position = self._behind_item(position, item_length, depth, values)
            if items is not None and values is not None:
                items.append(values)
        if position > end:
            raise _Unusual
        return position

    def _behind_item(self, position: int, length: int, depth: int, values: dict[str, Any] | None) -> int:
        header, wanted = self._header, self.wanted
        end = position + length
        while length == UNDEFINED or position < end:
            if length == UNDEFINED:
                group, element, _ = self.long(self.data, position)
                if group << 16 | element == ITEM_END:
                    return position + 8
            tag, vr, size, value = header(position)
            if tag >> 16 == 0xFFFE:
                raise _Unusual
            if tag in wanted and (values is not None or tag == CHARACTER_SET):
                position = self._keep(tag, vr, size, value, values, depth + 1)
            elif size == UNDEFINED:
                position = self._behind_sequence(tag, vr, size, value, depth + 1)
            else:
                position = value + size
        if position > end:
            raise _Unusual
        return position

    def _keep(self, tag: int, vr: bytes | None, length: int, start: int, values: Any, depth: int) -> int:
        """Store one value in `values`, which may be None for CHARACTER_SET; returns the position after it."""
        keyword, expected = self.wanted[tag]
        if vr not in (None, expected):
            raise _Unusual
        if expected == b"SQ":
            values[keyword] = []
            return self._behind_sequence(tag, vr, length, start, depth, values[keyword])
        if length == UNDEFINED:
            raise _Unusual
        end = start + length
        if end > len(self.data):
            raise error("the value continues after the bytes read so far")
        if tag == CHARACTER_SET:
            encoding = ENCODINGS.get(self.data[start:end].rstrip(b" "))
            if encoding is None or (depth and encoding != self.encoding):
                raise _Unusual
            self.encoding = encoding
        elif length:
            values[keyword] = CONVERTERS[expected](self, self.data[start:end])
        return end

    def _identifier(self, raw: bytes) -> str:
        if not IDENTIFIER.fullmatch(raw):
            raise _Unusual
        return raw.rstrip(b"\0 ").decode()

    def _codes(self, raw: bytes) -> str | list[str]:
        if not CODES.fullmatch(raw):
            raise _Unusual
        codes = raw.decode().rstrip(" ").split("\\")
        return codes if len(codes) > 1 else codes[0]

    def _text(self, raw: bytes) -> str:
        try:
            value = raw.decode(self.encoding).rstrip("\0 ")
        except UnicodeDecodeError:
            raise _Unusual from None
        if not value.isprintable() or "\\" in value:
            raise _Unusual
        return value

    def _decimals(self, raw: bytes) -> list[float]:
        if not DECIMALS.fullmatch(raw):
            raise _Unusual
        return [float(part) for part in raw.split(b"\\")]

    def _integer(self, raw: bytes) -> int:
        if not INTEGER.fullmatch(raw):
            raise _Unusual
        return int(raw)

    def _unsigned(self, raw: bytes) -> int:
        if len(raw) != 2:
            raise _Unusual
        return self.number(raw)[0]


CONVERTERS: dict[bytes, Callable[[_Header, bytes], Any]] = {
    b"UI": _Header._identifier,
    b"CS": _Header._codes,
    b"LO": _Header._text,
    b"DS": _Header._decimals,
    b"IS": _Header._integer,
    b"US": _Header._unsigned,
}


@cache
def _may_hold_items(tag: int) -> bool:
    """Whether pydicom reads an element of undefined length without a value representation as a sequence."""
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return True
