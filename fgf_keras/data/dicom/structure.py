"""Is a DICOM file whole? Every element ends inside the one that holds it, every sequence is closed.

pydicom reads a truncated file as far as it goes and returns what it has, so a structure set that lost its
last contours looks like a smaller one. The lengths in the file tell the two apart.
"""

from struct import Struct

from pydicom.datadict import dictionary_VR

from fgf_keras.data.refusal import DicomError

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PREAMBLE = 132
LONG_LENGTH = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
# A structure set nests 5 deep, a segmentation 6; a file that nests deeper was not written, it was damaged.
DEEPEST = 32


def check_structure(data: bytes, *, implicit: bool, little_endian: bool, begin: int = PREAMBLE) -> None:
    """Refuse a file whose lengths contradict each other or its size.

    Args:
        data: the whole file, not deflated.
        implicit: the transfer syntax leaves out the value representations.
        little_endian: byte order of the data set.
        begin: where its first element begins.

    Raises:
        DicomError: `truncated`.
    """
    meta = _Walker(data, implicit=False, little_endian=True)
    position = meta.elements(begin, len(data), 0, group=2)
    _Walker(data, implicit=implicit, little_endian=little_endian).elements(position, len(data), 0)


class _Walker:
    def __init__(self, data, *, implicit, little_endian):
        order = "<" if little_endian else ">"
        self.data = data
        self.implicit = implicit
        self.short = Struct(f"{order}HH2sH").unpack_from
        self.long = Struct(f"{order}HHL").unpack_from
        self.length = Struct(f"{order}L").unpack_from

    def elements(self, position, end, depth, *, closed_by=None, group=None):
        """Walk elements to `end`, or behind the delimiter `closed_by`; `group` stops before another group."""
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

    def _header(self, position, end):
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

    def _is_sequence(self, tag, vr):
        if not self.implicit:
            return vr == b"SQ"
        try:
            return dictionary_VR(tag) == "SQ"
        except KeyError:  # private elements are not read, so what they hold does not matter
            return False

    def _items(self, position, end, depth, *, fragments=False, closed=False):
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

    def _undefined(self, tag, vr, value, end, depth):
        # Compressed pixels are a sequence of fragments that hold no elements.
        fragments = tag in (0x7FE00008, 0x7FE00009, 0x7FE00010)
        if vr == b"UN":
            # The standard has such sequences in implicit little endian whatever the file is in.
            inner = _Walker(self.data, implicit=True, little_endian=True)
            return inner._items(value, end, depth, closed=True)
        return self._items(value, end, depth, fragments=fragments, closed=True)


def _damaged(position):
    return DicomError(
        "truncated",
        f"The file is truncated or damaged: its lengths contradict each other at byte {position}.",
        "Export or download it again.",
    )
