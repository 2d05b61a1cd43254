"""Check that a DICOM file is complete: every element ends inside its parent, and every sequence is closed.

pydicom reads a truncated file as far as possible, so a structure set without its last contours looks like a
smaller one. The lengths in the file reveal the difference.
"""

from struct import Struct

from pydicom.datadict import dictionary_VR

from fgf_keras.data.refusal import DicomError

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PREAMBLE = 132
LONG_LENGTH = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
# A structure set is nested 5 levels deep, a segmentation 6; deeper nesting means that the file is damaged.
DEEPEST = 32


def check_structure(data: bytes, *, implicit: bool, little_endian: bool, begin: int = PREAMBLE) -> None:
    """Refuse a file whose lengths contradict each other or its size.

    Args:
        data: the whole file, not deflated.
        implicit: whether the transfer syntax omits the value representations.
        little_endian: byte order of the data set.
        begin: position of the first element.

    Raises:
        DicomError: `truncated`.
    """
    meta = _Walker(data, implicit=False, little_endian=True)
    position = meta.elements(begin, len(data), 0, group=2)
    _Walker(data, implicit=implicit, little_endian=little_endian).elements(position, len(data), 0)


class _Walker:
    """A walk over the elements of a file that compares their lengths."""

    def __init__(self, data: bytes, *, implicit: bool, little_endian: bool) -> None:
        order = "<" if little_endian else ">"
        self.data = data
        self.implicit = implicit
        self.short = Struct(f"{order}HH2sH").unpack_from
        self.long = Struct(f"{order}HHL").unpack_from
        self.length = Struct(f"{order}L").unpack_from

    def elements(
        self, position: int, end: int, depth: int, *, closed_by: int | None = None, group: int | None = None
    ) -> int:
        """Walk elements to `end` or past the delimiter `closed_by`; with `group`, stop before another group.

        Returns the position after the last element.
        """
        if depth > DEEPEST:
            raise _damaged(position)
        while position < end or closed_by:
            if position + 8 > end:
                raise _damaged(position)
            tag, vr, length, value = self._header(position, end)
            if group is not None and tag >> 16 != group:
                return position
            if closed_by and tag == closed_by:
                return value
            if length == UNDEFINED:
                position = self._undefined(tag, vr, value, end, depth)
                continue
            position = value + length
            if position > end:
                raise _damaged(value)
            if length and self._is_sequence(tag, vr):
                self._items(value, position, depth)
        return position

    def _header(self, position: int, end: int) -> tuple[int, bytes | None, int, int]:
        group, element, length = self.long(self.data, position)
        tag = group << 16 | element
        if self.implicit or group == 0xFFFE:
            return tag, None, length, position + 8
        vr, length = self.short(self.data, position)[2:]
        if vr not in LONG_LENGTH:
            return tag, vr, length, position + 8
        if position + 12 > end:
            raise _damaged(position)
        return tag, vr, self.length(self.data, position + 8)[0], position + 12

    def _is_sequence(self, tag: int, vr: bytes | None) -> bool:
        if not self.implicit:
            return vr == b"SQ"
        try:
            return dictionary_VR(tag) == "SQ"
        except KeyError:  # private elements are not read, so what they hold does not matter
            return False

    def _items(
        self, position: int, end: int, depth: int, *, fragments: bool = False, closed: bool = False
    ) -> int:
        while position < end:
            if position + 8 > end:
                raise _damaged(position)
            tag, _, length, value = self._header(position, end)
            if tag == SEQUENCE_END and closed:
                return value
            if tag != ITEM:
                raise _damaged(position)
            if length == UNDEFINED and not fragments:
                position = self.elements(value, end, depth + 1, closed_by=ITEM_END)
                continue
            position = value + length
            if position > end:
                raise _damaged(value)
            if not fragments:
                self.elements(value, position, depth + 1)
        if closed:
            raise _damaged(position)
        return position

    def _undefined(self, tag: int, vr: bytes | None, value: int, end: int, depth: int) -> int:
        # Compressed pixels are a sequence of fragments without elements.
        fragments = tag in (0x7FE00008, 0x7FE00009, 0x7FE00010)
        if vr == b"UN":
            # By the standard, such sequences are in implicit little endian, whatever the syntax of the file.
            inner = _Walker(self.data, implicit=True, little_endian=True)
            return inner._items(value, end, depth, closed=True)
        return self._items(value, end, depth, fragments=fragments, closed=True)


def _damaged(position: int) -> DicomError:
    return DicomError(
        "truncated",
        f"The file is truncated or damaged: its lengths contradict each other at byte {position}.",
        "Export or download it again.",
    )
