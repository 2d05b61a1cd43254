"""Checks of a JPEG stream before gdcm decodes it, because some invalid streams crash the process."""

from struct import error, unpack_from

from fgf_keras.data.refusal import DicomError

START, END, SCAN = 0xFFD8, b"\xff\xd9", 0xFFDA
# All frame headers; DHT, JPG and DAC lie in the same range but are not.
FRAMES = {0xFFC0 + i for i in range(16)} - {0xFFC4, 0xFFC8, 0xFFCC}


def check_jpeg(stream: bytes, rows: int, columns: int, bits: int) -> None:
    """Refuse a stream with invalid segments, or with an image of another size or type.

    Args:
        stream: one frame, beginning with its start marker.
        rows, columns: size of the image.
        bits: largest number of bits per sample.

    Raises:
        DicomError: `bad_pixels`.
    """
    try:
        frames, scan = _segments(stream)
    except error:
        raise _damaged("ends inside its header") from None
    if len(frames) != 1:
        raise _damaged(f"has {len(frames)} frame headers")
    precision, height, width, components = frames[0]
    if (height, width, components) != (rows, columns, 1):
        raise _damaged(f"holds {components} components of {height}x{width} pixels")
    if not 2 <= precision <= bits:
        raise _damaged(f"has {precision} bits per pixel")
    if stream.find(END, scan) < 0:
        raise _damaged("has no end")


def _segments(stream: bytes) -> tuple[list[tuple[int, int, int, int]], int]:
    """The frame headers, and where the scan begins; raises `struct.error` if the header ends early."""
    if unpack_from(">H", stream)[0] != START:
        raise _damaged("has no start")
    position, frames = 2, []
    while True:
        marker, length = unpack_from(">HH", stream, position)
        # Markers without a length start at 0xFFD0; none of them may occur before the scan.
        if marker < 0xFFC0 or 0xFFD0 <= marker < SCAN or marker == 0xFFFF or length < 2:
            raise _damaged(f"has no segment at byte {position}")
        if marker in FRAMES:
            frames.append(unpack_from(">BHHB", stream, position + 4))
        position += 2 + length
        if marker == SCAN:
            return frames, position


def _damaged(what: str) -> DicomError:
    return DicomError("bad_pixels", f"The JPEG stream {what}.", "Export or download it again.")
