"""The index of a folder: files grouped by their headers, and the files that cannot be used."""

import filecmp
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fgf_keras.data.dicom.acquisitions import split_acquisitions
from fgf_keras.data.dicom.contents import DamagedFile, FileContent, Key, read_contents
from fgf_keras.data.dicom.series import Series, stack_slices
from fgf_keras.data.dicom.slice_header import SliceHeader
from fgf_keras.data.refusal import DicomError
from fgf_keras.errors import DataError
from fgf_keras.progress import RateColumn, progress_bar


@dataclass(frozen=True)
class Rejected:
    """A file that is not used.

    Attributes:
        path: relative to the root, with forward slashes.
        kind, reason, remedy: as in `DicomError`; free of file names.
        series_uid: the series that the file belongs to, if it could be read.
    """

    path: str
    kind: str
    reason: str
    remedy: str
    series_uid: str | None = None


@dataclass
class SeriesEntry:
    """Files with one SeriesInstanceUID.

    Attributes:
        modality, patient_id, study_uid, series_uid: identity; `patient_id` and `study_uid` may be "".
        frame_of_reference_uids: of all files, sorted; a structure set may have several.
        description: SeriesDescription of the first file, "" if there is none. Free text that may name a
            person: used to choose among series, never shown or written.
        files: in the order of their paths.
        instances: SOPInstanceUID and size in bytes of each of `files`.
        headers: of the CT slices that can be placed, in the order of `files`.
        rejected: number of rejected files of the series, not counting copies.
        reason: reason and remedy for the first rejected file.
    """

    modality: str
    patient_id: str
    study_uid: str
    series_uid: str
    frame_of_reference_uids: tuple[str, ...] = ()
    description: str = field(default="", repr=False)
    files: list[Path] = field(default_factory=list)
    instances: list[tuple[str, int]] = field(default_factory=list)
    headers: list[SliceHeader] = field(default_factory=list)
    rejected: int = 0
    reason: tuple[str, str] = ("", "")

    def reject(self, error: DicomError) -> None:
        """Count a rejected file."""
        self.rejected += 1
        if self.rejected == 1:
            self.reason = error.reason, error.remedy

    @property
    def localizers(self) -> int:
        """Number of scout views according to their headers; `stacks` leaves them out if necessary."""
        return sum(header.localizer for header in self.headers)

    def stack(self) -> Series:
        """All slices as one CT series, without reading the headers again.

        Raises:
            DicomError: `incomplete_series` if some files are rejected, or as `stack_slices`.
        """
        self._check_complete()
        return stack_slices(self.headers)

    def stacks(self, accept: Collection[str] = ()) -> list[Series]:
        """One stack per acquisition in the series, which is one for most series.

        Args:
            accept: see `stack_slices`.

        Raises:
            DicomError: `incomplete_series` if some files are rejected, or as `split_acquisitions`.
        """
        self._check_complete()
        return split_acquisitions(self.headers, accept)

    def _check_complete(self) -> None:
        if self.rejected:
            raise DicomError(
                "incomplete_series",
                f"{self.rejected} of {self.rejected + len(self.files)} files of the series cannot be used; "
                f"the first: {self.reason[0]}",
                f"{self.reason[1]} All reasons are in the list of rejected files.",
                where=f"{self.modality} series {self.series_uid}",
            )


@dataclass(frozen=True)
class FolderIndex:
    """The content of a folder.

    Attributes:
        series: images of any modality, one entry per series; those of CT can be stacked.
        structure_sets: RTSTRUCT, one entry per series, which may have several files.
        segmentations: SEG, likewise.
        others: all other DICOM files (plans, doses, reports).
        rejected: files that cannot be used.
    """

    series: tuple[SeriesEntry, ...]
    structure_sets: tuple[SeriesEntry, ...]
    segmentations: tuple[SeriesEntry, ...]
    others: tuple[SeriesEntry, ...]
    rejected: tuple[Rejected, ...]

    def studies(self) -> dict[tuple[str, str], list[SeriesEntry]]:
        """All entries of each study by (patient_id, study_uid)."""
        studies: dict[tuple[str, str], list[SeriesEntry]] = {}
        for entry in (*self.series, *self.structure_sets, *self.segmentations, *self.others):
            studies.setdefault((entry.patient_id, entry.study_uid), []).append(entry)
        return studies


def index_folder(root: Path, *, n_jobs: int = 1) -> FolderIndex:
    """Read the header of every file below a folder; names and layout do not matter, links are followed once.

    The result depends only on the files. A file that cannot be read is listed and does not stop the others.
    Of two files with the same SOPInstanceUID, one is ignored if they are copies; if their bytes differ, both
    are rejected, because it is unknown which one is right.

    Args:
        root: the folder.
        n_jobs: number of processes that read headers, -1 for one per core; folders with few files are read
            by this process.

    Raises:
        DataError: the folder does not exist.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(
            f"The folder {str(root)!r} does not exist. Let data.root name the folder with DICOM files."
        )
    paths = list(_walk(root))
    contents = read_contents([path for path, problem in paths if problem is None], n_jobs)
    gathering = _Gathering(root)
    with progress_bar(RateColumn("files")) as progress:
        for path, problem in progress.track(paths, description="Reading headers"):
            gathering.add(path, DamagedFile(problem, None) if problem else next(contents))
    return gathering.result()


class _Gathering:
    """The index of a folder while files are added to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[Key, SeriesEntry] = {}
        self.rejected: list[Rejected] = []
        # By SOPInstanceUID; None if several different files have it.
        self.instances: dict[str, tuple[Path, SeriesEntry, SliceHeader | None] | None] = {}

    def add(self, path: Path, content: FileContent | DamagedFile) -> None:
        if isinstance(content, DamagedFile):
            if content.key:
                self._entry(content.key).reject(content.error)
            self._reject(path, content.error, content.key and content.key[-1])
            return
        entry = self._entry(content.key)
        if not self._is_new(path, content.sop_uid, entry):
            return
        # Also for files that are refused: this shows whether a region could be on them.
        if not content.frames.issubset(entry.frame_of_reference_uids):
            entry.frame_of_reference_uids = tuple(sorted({*entry.frame_of_reference_uids, *content.frames}))
        if isinstance(content.header, DicomError):
            entry.reject(content.header)
            self._reject(path, content.header, entry.series_uid)
            return
        self.instances[content.sop_uid] = (path, entry, content.header)
        if not entry.files:
            entry.description = content.description
        entry.files.append(path)
        entry.instances.append((content.sop_uid, content.size))
        if content.header:
            entry.headers.append(content.header)

    def _entry(self, key: Key) -> SeriesEntry:
        return self.entries.setdefault(key, SeriesEntry(*key))

    def _is_new(self, path: Path, sop_uid: str, entry: SeriesEntry) -> bool:
        if sop_uid not in self.instances:
            return True
        earlier = self.instances[sop_uid]
        if earlier and _same_bytes(earlier[0], path):
            copy = DicomError("copy", "A copy of another file.", "None needed; the other one is used.")
            self._reject(path, copy, entry.series_uid)
            return False
        conflict = DicomError(
            "conflict",
            "Another file has the same SOPInstanceUID and other content.",
            "Keep the right one.",
        )
        if earlier:
            first, owner, header = earlier
            position = owner.files.index(first)
            del owner.files[position], owner.instances[position]
            if header:
                owner.headers.remove(header)
            owner.reject(conflict)
            self._reject(first, conflict, owner.series_uid)
            # Kept as ambiguous, so that a third file with this UID is rejected too.
            self.instances[sop_uid] = None
        entry.reject(conflict)
        self._reject(path, conflict, entry.series_uid)
        return False

    def _reject(self, path: Path, error: DicomError, series_uid: str | None = None) -> None:
        name = Path(os.path.relpath(path, self.root)).as_posix()
        self.rejected.append(Rejected(name, error.kind, error.reason, error.remedy, series_uid))

    def result(self) -> FolderIndex:
        groups: dict[str, list[SeriesEntry]] = {"RTSTRUCT": [], "SEG": [], "image": [], "other": []}
        for key in sorted(self.entries):
            entry = self.entries[key]
            kind = entry.modality if entry.modality in groups else _kind(entry)
            groups[kind].append(entry)
        return FolderIndex(
            series=tuple(groups["image"]),
            structure_sets=tuple(groups["RTSTRUCT"]),
            segmentations=tuple(groups["SEG"]),
            others=tuple(groups["other"]),
            rejected=tuple(sorted(self.rejected, key=lambda r: r.path)),
        )


def _kind(entry: SeriesEntry) -> str:
    return "image" if entry.modality in {"CT", "MR", "PT", "NM", "CR", "DX", "US", "XA", "OT"} else "other"


def _same_bytes(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _walk(root: Path) -> Iterator[tuple[Path, DicomError | None]]:
    """All files below the root in the order of their names; each folder once, even with several links."""
    unreadable: list[OSError] = []
    visited = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=unreadable.append):
        identity = os.stat(folder)
        if (identity.st_dev, identity.st_ino) in visited:
            folders.clear()
            continue
        visited.add((identity.st_dev, identity.st_ino))
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            yield path, _not_regular(path)
    for error in unreadable:
        reason = f"The folder cannot be listed: {error.strerror}."
        yield Path(error.filename), DicomError("unreadable", reason, "Check that it may be read.")


def _not_regular(path: Path) -> DicomError | None:
    """Why a path must not be opened (reading a pipe would block); None for a regular file."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return DicomError("unreadable", f"The file cannot be found: {error.strerror}.", "Repair the link.")
    if stat.S_ISREG(mode):
        return None
    return DicomError("unreadable", "Not a regular file.", "Remove it.")
