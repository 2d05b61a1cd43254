"""What is in a folder: files grouped by what their headers say, and those that cannot be used."""

import filecmp
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fgf_keras.data.dicom.acquisitions import split_acquisitions
from fgf_keras.data.dicom.contents import DamagedFile, read_contents
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
        series_uid: the series that it would have belonged to, where that could be read.
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
        frame_of_reference_uids: of all its files, sorted; a structure set may be drawn in several.
        description: SeriesDescription of the first of its files, "" where there is none. Free text, so it may
            name a person: for choosing among series, never to be shown or written.
        files: in the order of their paths.
        instances: SOPInstanceUID and bytes of each of `files`.
        headers: of the CT slices that can be placed, in the order of `files`.
        rejected: files of the series that are rejected, copies aside.
        reason: why the first of these is, and what to do.
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

    def reject(self, error: DicomError):
        """Count a file that is rejected."""
        self.rejected += 1
        if self.rejected == 1:
            self.reason = error.reason, error.remedy

    @property
    def localizers(self) -> int:
        """Slices that say they are scout views; `stacks` leaves them out where they stand in the way."""
        return sum(header.localizer for header in self.headers)

    def stack(self) -> Series:
        """All of it as one CT series, without reading headers again.

        Raises:
            DicomError: `incomplete_series` where some of its files are rejected, or as `stack_slices`.
        """
        self._check_complete()
        return stack_slices(self.headers)

    def stacks(self, accept: Collection[str] = ()) -> list[Series]:
        """One stack for each acquisition in the series: one for most series; `accept` as `stack_slices`.

        Raises:
            DicomError: `incomplete_series` where some of its files are rejected, or as `split_acquisitions`.
        """
        self._check_complete()
        return split_acquisitions(self.headers, accept)

    def _check_complete(self):
        if self.rejected:
            raise DicomError(
                "incomplete_series",
                f"{self.rejected} of {self.rejected + len(self.files)} files of the series cannot be used; "
                f"the first: {self.reason[0]}",
                f"{self.reason[1]} All reasons stand in the list of rejected files.",
                where=f"{self.modality} series {self.series_uid}",
            )


@dataclass(frozen=True)
class FolderIndex:
    """The content of a folder.

    Attributes:
        series: images of any modality, one entry a series; CT ones can be stacked.
        structure_sets: RTSTRUCT, one entry a series, which may hold several files.
        segmentations: SEG, likewise.
        others: anything else that is DICOM (plans, doses, reports).
        rejected: files that cannot be used.
    """

    series: tuple[SeriesEntry, ...]
    structure_sets: tuple[SeriesEntry, ...]
    segmentations: tuple[SeriesEntry, ...]
    others: tuple[SeriesEntry, ...]
    rejected: tuple[Rejected, ...]

    def studies(self) -> dict[tuple[str, str], list[SeriesEntry]]:
        """(patient_id, study_uid) to all its entries."""
        studies: dict[tuple[str, str], list[SeriesEntry]] = {}
        for entry in (*self.series, *self.structure_sets, *self.segmentations, *self.others):
            studies.setdefault((entry.patient_id, entry.study_uid), []).append(entry)
        return studies


def index_folder(root: Path, *, n_jobs: int = 1) -> FolderIndex:
    """Read the header of every file below a folder; names and layout mean nothing, links are followed once.

    The order of everything depends on the files alone. A file that cannot be read is listed and stops
    nothing. Two files with one SOPInstanceUID: copies count once; if their bytes differ both are rejected,
    because nothing says which one is right.

    Args:
        root: the folder.
        n_jobs: processes that read headers, -1 for one a core; folders of few files are read by this one.

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
    def __init__(self, root):
        self.root = root
        self.entries = {}
        self.rejected = []
        self.instances = {}

    def add(self, path, content):
        if isinstance(content, DamagedFile):
            if content.key:
                self._entry(content.key).reject(content.error)
            self._reject(path, content.error, content.key and content.key[-1])
            return
        entry = self._entry(content.key)
        if not self._is_new(path, content.sop_uid, entry):
            return
        # Of files that are refused too: they tell whether a region could lie on them.
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

    def _entry(self, key):
        return self.entries.setdefault(key, SeriesEntry(*key))

    def _is_new(self, path, sop_uid, entry):
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
            at = owner.files.index(first)
            del owner.files[at], owner.instances[at]
            if header:
                owner.headers.remove(header)
            owner.reject(conflict)
            self._reject(first, conflict, owner.series_uid)
            # Remembered as contested, so that a third file does not slip in.
            self.instances[sop_uid] = None
        entry.reject(conflict)
        self._reject(path, conflict, entry.series_uid)
        return False

    def _reject(self, path, error, series_uid=None):
        name = Path(os.path.relpath(path, self.root)).as_posix()
        self.rejected.append(Rejected(name, error.kind, error.reason, error.remedy, series_uid))

    def result(self):
        groups = {"RTSTRUCT": [], "SEG": [], "image": [], "other": []}
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


def _kind(entry):
    return "image" if entry.modality in {"CT", "MR", "PT", "NM", "CR", "DX", "US", "XA", "OT"} else "other"


def _same_bytes(one, other):
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _walk(root) -> Iterator[tuple[Path, DicomError | None]]:
    """All files below the root in order of their names, each folder once however many links lead to it."""
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


def _not_regular(path):
    """Why a path must not be opened (a pipe would wait for ever), None for a regular file."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return DicomError("unreadable", f"The file cannot be found: {error.strerror}.", "Repair the link.")
    if stat.S_ISREG(mode):
        return None
    return DicomError("unreadable", "Not a regular file.", "Remove it.")
