"""The contents of the headers of many files, read by one process or several."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from sys import intern
from typing import NamedTuple

from joblib import Parallel, delayed
from pydicom.filereader import read_partial

from fgf_keras.data.dicom.files import Elements, OpenedFile, open_header, refusing, required_text, text
from fgf_keras.data.dicom.slice_header import TAGS, SliceHeader, slice_header
from fgf_keras.data.refusal import DicomError

# Modality, patient, study and series of a file.
Key = tuple[str, str, str, str]
# The frames of reference of a structure set are in sequences.
FILE_TAGS = [
    *TAGS,
    "SeriesDescription",
    "ReferencedFrameOfReferenceSequence",
    "StructureSetROISequence",
    "ReferencedFrameOfReferenceUID",
]
# The last of the elements that identify patient, study and series.
SERIES_UID = 0x0020000E
# Below this many files, starting processes takes longer than reading.
PARALLEL_FROM = 10_000
BATCH = 256


class FileContent(NamedTuple):
    """The content of the header of one file.

    Attributes:
        key: modality, patient, study and series; patient and study may be "".
        sop_uid: SOPInstanceUID.
        size: of the file, in bytes.
        frames: FrameOfReferenceUIDs of the image, or of the regions drawn.
        description: SeriesDescription, "" if it is missing or cannot be read.
        header: of a CT slice, or why it cannot be placed; None for other modalities.
    """

    key: Key
    sop_uid: str
    size: int
    frames: frozenset[str]
    description: str
    header: SliceHeader | DicomError | None


class DamagedFile(NamedTuple):
    """Why a file cannot be used, and its `FileContent.key` if at least that can be read."""

    error: DicomError
    key: Key | None


def read_contents(paths: Sequence[Path], n_jobs: int = 1) -> Iterator[FileContent | DamagedFile]:
    """The content of each file, or why it cannot be used, in the order of the paths.

    Args:
        paths: of regular files.
        n_jobs: number of processes, -1 for one per core; fewer than `PARALLEL_FROM` files are read by this
            process.
    """
    if n_jobs == 1 or len(paths) < PARALLEL_FROM:
        return map(read_content, paths)
    batches = (paths[i : i + BATCH] for i in range(0, len(paths), BATCH))
    results = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(_read_batch)(b) for b in batches)
    return chain.from_iterable(results)


def _read_batch(paths: Sequence[Path]) -> list[FileContent | DamagedFile]:
    return [read_content(path) for path in paths]


def read_content(path: Path) -> FileContent | DamagedFile:
    """The content of one file, or why it cannot be used."""
    try:
        with refusing(path):
            return file_content(open_header(path, FILE_TAGS), path)
    except DicomError as error:
        return DamagedFile(error, _salvaged_key(path))


def _salvaged_key(path: Path) -> Key | None:
    """The key of a file that is damaged later on: its series is then incomplete."""
    try:
        with refusing(path), open(path, "rb") as stream:
            return _key(read_partial(stream, lambda tag, vr, length: tag > SERIES_UID))
    except DicomError:
        return None


def file_content(opened: OpenedFile[Elements], path: Path) -> FileContent:
    """The content of a file that was opened with `FILE_TAGS`.

    Raises:
        DicomError: `missing_tag` or `bad_tag` if its series cannot be identified.
    """
    dataset = opened.dataset
    key = _key(dataset)
    return FileContent(
        key=key,
        frames=_frames(dataset),
        sop_uid=required_text(dataset, "SOPInstanceUID"),
        size=opened.size,
        description=_description(dataset),
        header=_header(opened, path) if key[0] == "CT" else None,
    )


def _key(dataset: Elements) -> Key:
    return (
        required_text(dataset, "Modality"),
        text(dataset, "PatientID") or "",
        text(dataset, "StudyInstanceUID") or "",
        required_text(dataset, "SeriesInstanceUID"),
    )


def _frames(dataset: Elements) -> frozenset[str]:
    frames = [text(dataset, "FrameOfReferenceUID")]
    for item in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        frames.append(text(item, "FrameOfReferenceUID"))
    for item in dataset.get("StructureSetROISequence") or []:
        frames.append(text(item, "ReferencedFrameOfReferenceUID"))
    return frozenset(frame for frame in frames if frame is not None)


def _description(dataset: Elements) -> str:
    try:
        return intern(text(dataset, "SeriesDescription") or "")
    except DicomError:  # characters that cannot be read
        return ""


def _header(opened: OpenedFile[Elements], path: Path) -> SliceHeader | DicomError:
    try:
        return slice_header(opened, path)
    except DicomError as error:
        return error
