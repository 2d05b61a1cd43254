"""Checks that a NIfTI or NRRD file is complete, and a fingerprint of its contents.

SimpleITK reads a truncated NIfTI file without an error: the missing voxels contain whatever was in memory,
possibly another patient. It reads values that are not finite as 0, and a spacing of 0 as 1 mm. Therefore,
every file is checked before SimpleITK reads it.
"""

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fgf_keras.data.refusal import SourceError

# The readers of SimpleITK by the suffix of the file name.
READERS = {".nii": "NiftiImageIO", ".nii.gz": "NiftiImageIO", ".nrrd": "NrrdImageIO"}
AGAIN = "Export it again."
REPLACE = "Replace them, e.g. by -1024, or export it again."
# The coordinate systems of NRRD that SimpleITK supports.
SPACES = {
    "left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las",
}  # fmt: skip
NIFTI_HEADER = 348
# Bytes per voxel by the code of the data type.
NIFTI_BYTES = {
    2: 1, 4: 2, 8: 4, 16: 4, 32: 8, 64: 8, 128: 3, 256: 1, 512: 2, 768: 4,
    1024: 8, 1280: 8, 1536: 16, 1792: 16, 2048: 32, 2304: 4,
}  # fmt: skip
GZIP = b"\x1f\x8b"
ENDS = 1 << 16
CHUNK = 1 << 20


def suffix_of(path: Path) -> str:
    """The suffix of a file name, one of the keys of `READERS`."""
    return next(suffix for suffix in READERS if path.name.endswith(suffix))


def fingerprint(paths: Iterable[Path]) -> str:
    """A hash of the contents of files, in this order; names and times have no effect.

    A compressed file ends in a checksum of its contents, so its size and its first and last 64 KiB reveal any
    change. Other files are read completely.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(ENDS)
            if size > 2 * ENDS and _is_compressed(head):
                stream.seek(size - ENDS)
                part = hashlib.sha256(head + stream.read())
            else:
                stream.seek(0)
                part = hashlib.file_digest(stream, "sha256")
        digest.update(b"%d %s\n" % (size, part.digest()))
    return digest.hexdigest()[:32]


class CheckedFile(NamedTuple):
    """Properties of a file that SimpleITK does not report.

    Attributes:
        oriented: whether the header defines the orientation of the volume in the patient.
        not_finite: indices, in the order of the file, of voxels that are not finite, which SimpleITK would
            read as 0.
    """

    oriented: bool
    not_finite: np.ndarray


def check_file(path: Path) -> CheckedFile:
    """Refuse files that SimpleITK would read incorrectly.

    Raises:
        SourceError: `empty`, `damaged` (truncated, or with a wrong checksum), `unreadable` (another format,
            or an invalid header), `detached` (the voxels are in another file) or `no_spacing`.
        OSError: the file cannot be opened.
    """
    if not path.stat().st_size:
        raise SourceError("empty", "The file is empty.", AGAIN)
    if suffix_of(path) == ".nrrd":
        return CheckedFile(_check_nrrd(path), np.empty(0, np.int64))
    return _check_nifti(path)


def _is_compressed(head: bytes) -> bool:
    return head.startswith(GZIP) or b"\nencoding: gz" in head.partition(b"\n\n")[0]


def _check_nifti(path: Path) -> CheckedFile:
    with path.open("rb") as stream:
        is_gzip = stream.read(2) == GZIP
        stream.seek(0)
        source = gzip.GzipFile(fileobj=stream) if is_gzip else stream
        try:
            header = _nifti_header(source.read(NIFTI_HEADER))
            source.read(header.offset - NIFTI_HEADER)
            remaining, not_finite = header.bytes, []
            while remaining and (chunk := source.read(min(CHUNK, remaining))):
                if header.floats is not None and not len(chunk) % header.floats.itemsize:
                    first = (header.bytes - remaining) // header.floats.itemsize
                    values = np.frombuffer(chunk, header.floats)
                    not_finite.append(first + np.flatnonzero(~np.isfinite(values)))
                remaining -= len(chunk)
            # gzip compares the checksum at the end of the stream.
            while source.read(CHUNK):
                pass
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise SourceError("damaged", "The compressed file is cut or damaged.", AGAIN) from None
    if remaining:
        raise SourceError(
            "damaged", f"The file is cut: {remaining} of {header.bytes} bytes of voxels are missing.", AGAIN
        )
    return CheckedFile(header.oriented, np.concatenate(not_finite) if not_finite else np.empty(0, np.int64))


class _NiftiHeader(NamedTuple):
    """The header of a NIfTI-1 file.

    Attributes:
        offset: where the voxels begin.
        bytes: size of the voxels.
        floats: type of the voxels if it is a floating one, else None.
        oriented: whether the header defines the orientation in the patient.
    """

    offset: int
    bytes: int
    floats: np.dtype | None
    oriented: bool


def _nifti_header(head: bytes) -> _NiftiHeader:
    order = next((o for o in "<>" if head[:4] == struct.pack(f"{o}i", NIFTI_HEADER)), None)
    if order is None or len(head) < NIFTI_HEADER or head[344:348] not in (b"n+1\0", b"ni1\0"):
        raise SourceError("unreadable", "The file is not NIfTI-1.", "Convert it to NIfTI-1 or NRRD.")
    if head[344:348] == b"ni1\0":
        raise SourceError("detached", "The voxels are in another file.", "Write both into one file.")
    count, *sizes = struct.unpack_from(f"{order}8h", head, 40)
    # Not BITPIX, which other readers ignore.
    (datatype,) = struct.unpack_from(f"{order}h", head, 70)
    spacing = struct.unpack_from(f"{order}3f", head, 80)
    (offset,) = struct.unpack_from(f"{order}f", head, 108)
    sizes = sizes[: max(count, 0)]
    if (
        not 1 <= count <= 7
        or min(sizes) < 1
        or datatype not in NIFTI_BYTES
        or not NIFTI_HEADER <= offset < math.inf
    ):
        raise SourceError("unreadable", "The header of the file makes no sense.", AGAIN)
    if not all(0 < abs(mm) < math.inf for mm in spacing[:count]):
        raise SourceError("no_spacing", f"The spacing is {spacing} mm.", "Write the spacing of the voxels.")
    forms = struct.unpack_from(f"{order}2h", head, 252)
    floats = {16: np.dtype(f"{order}f4"), 64: np.dtype(f"{order}f8")}.get(datatype)
    return _NiftiHeader(int(offset), math.prod(sizes) * NIFTI_BYTES[datatype], floats, max(forms) > 0)


def _check_nrrd(path: Path) -> bool:
    """Check the header; SimpleITK itself detects missing voxels and wrong checksums."""
    with path.open("rb") as stream:
        lines = list(iter(lambda: stream.readline(CHUNK).strip(), b""))
    if not lines or not lines[0].startswith(b"NRRD000"):
        raise SourceError("unreadable", "The file is not NRRD.", "Convert it to NIfTI-1 or NRRD.")
    pairs = (line.decode("ascii", "replace").partition(": ") for line in lines[1:])
    fields = {key.lower(): value.strip().lower() for key, _, value in pairs}
    if {"data file", "datafile"} & fields.keys():
        raise SourceError("detached", "The voxels are in another file.", "Write both into one file.")
    spacing = fields.get("space directions") or fields.get("spacings")
    if spacing is None or "nan" in spacing:
        raise SourceError("no_spacing", "The spacing is missing.", "Write the spacing of the voxels.")
    return fields.get("space") in SPACES
