"""Whether a NIfTI or NRRD file is whole, and what stands for its contents.

SimpleITK takes a NIfTI file that was cut for a whole one: the voxels that are missing hold what was in memory
before, which may be another patient. Values that are not finite it reads as 0, a spacing of 0 as 1 mm. So
every file is looked at before SimpleITK reads it.
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

# The readers of SimpleITK by the ending of a name.
READERS = {".nii": "NiftiImageIO", ".nii.gz": "NiftiImageIO", ".nrrd": "NrrdImageIO"}
AGAIN = "Export it again."
REPLACE = "Replace them, e.g. by -1024, or export it again."
# The coordinate systems of NRRD that SimpleITK knows.
SPACES = {
    "left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las",
}  # fmt: skip
NIFTI_HEADER = 348
# Bytes of a voxel by the code of its type.
NIFTI_BYTES = {
    2: 1, 4: 2, 8: 4, 16: 4, 32: 8, 64: 8, 128: 3, 256: 1, 512: 2, 768: 4,
    1024: 8, 1280: 8, 1536: 16, 1792: 16, 2048: 32, 2304: 4,
}  # fmt: skip
GZIP = b"\x1f\x8b"
ENDS = 1 << 16
CHUNK = 1 << 20


def suffix_of(path: Path) -> str:
    """The ending of a file's name, one of those that READERS has."""
    return next(suffix for suffix in READERS if path.name.endswith(suffix))


def fingerprint(paths: Iterable[Path]) -> str:
    """A hash of the contents of files, in this order; names and times do not enter.

    A compressed file ends in a checksum of what it holds, so its size and its first and last 64 KiB tell of
    any change. Other files are read as a whole.

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
    """What SimpleITK does not tell of a file.

    Attributes:
        oriented: whether the header says how the volume lies in the patient.
        not_finite: places of voxels that are no finite numbers, in the order of the file, that SimpleITK
            would read as 0.
    """

    oriented: bool
    not_finite: np.ndarray


def check_file(path: Path) -> CheckedFile:
    """Refuse what SimpleITK would read as something that it is not.

    Raises:
        SourceError: `empty`, `damaged` (cut, or its checksum is wrong), `unreadable` (another format, or a
            header that makes no sense), `detached` (the voxels are in another file) or `no_spacing`.
        OSError: it cannot be opened.
    """
    if not path.stat().st_size:
        raise SourceError("empty", "The file is empty.", AGAIN)
    if suffix_of(path) == ".nrrd":
        return CheckedFile(_check_nrrd(path), np.empty(0, np.int64))
    return _check_nifti(path)


def _is_compressed(head):
    return head.startswith(GZIP) or b"\nencoding: gz" in head.partition(b"\n\n")[0]


def _check_nifti(path):
    with path.open("rb") as stream:
        zipped = stream.read(2) == GZIP
        stream.seek(0)
        source = gzip.GzipFile(fileobj=stream) if zipped else stream
        try:
            header = _nifti_header(source.read(NIFTI_HEADER))
            source.read(header.offset - NIFTI_HEADER)
            left, broken = header.bytes, []
            while left and (chunk := source.read(min(CHUNK, left))):
                if header.floats is not None and not len(chunk) % header.floats.itemsize:
                    first = (header.bytes - left) // header.floats.itemsize
                    values = np.frombuffer(chunk, header.floats)
                    broken.append(first + np.flatnonzero(~np.isfinite(values)))
                left -= len(chunk)
            # At the end of a compressed stream its checksum is compared.
            while source.read(CHUNK):
                pass
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise SourceError("damaged", "The compressed file is cut or damaged.", AGAIN) from None
    if left:
        raise SourceError(
            "damaged", f"The file is cut: {left} of {header.bytes} bytes of voxels are missing.", AGAIN
        )
    return CheckedFile(header.oriented, np.concatenate(broken) if broken else np.empty(0, np.int64))


class _NiftiHeader(NamedTuple):
    """Where the voxels begin, how many bytes they take, their type where it is a floating one, and whether
    the header tells how they lie in the patient.
    """

    offset: int
    bytes: int
    floats: np.dtype | None
    oriented: bool


def _nifti_header(head):
    order = next((o for o in "<>" if head[:4] == struct.pack(f"{o}i", NIFTI_HEADER)), None)
    if order is None or len(head) < NIFTI_HEADER or head[344:348] not in (b"n+1\0", b"ni1\0"):
        raise SourceError("unreadable", "The file is not NIfTI-1.", "Convert it to NIfTI-1 or NRRD.")
    if head[344:348] == b"ni1\0":
        raise SourceError("detached", "The voxels are in another file.", "Write both into one file.")
    count, *sizes = struct.unpack_from(f"{order}8h", head, 40)
    # Not BITPIX, which nobody reads.
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


def _check_nrrd(path):
    """SimpleITK notices by itself where voxels are missing or a checksum is wrong."""
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
