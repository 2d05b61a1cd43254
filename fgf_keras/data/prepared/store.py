"""The folder of prepared slices: one slice or volume per patient, either complete or absent."""

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from fgf_keras.data.file_names import require_file_names
from fgf_keras.data.prepared.changes import changed_settings
from fgf_keras.errors import DataError
from fgf_keras.files import UNFINISHED, locked, whole_file, write_json

CLOSING = "Run `fgf prepare` again: it goes on where it stopped."


class SliceStore:
    """Slices with their records, in the order in which they were added.

    - `slices.zarr`: `image` (N, H, W) float32 HU and `mask` uint8, one chunk per slice; volumes (N, D, H, W),
      one chunk per volume;
    - `patients.jsonl`: one line per slice, written after its pixels; a slice counts only with this line;
    - `cohort.csv`, `rejected.csv`, `provenance.json`: written last; until then there is a file `UNFINISHED`.

    Attributes:
        path: of the folder.
        settings: the settings that the slices depend on.
        records: of the slices, in order; the last record of a patient is the valid one.
    """

    def __init__(
        self, path: Path, settings: dict[str, Any], records: list[dict[str, Any]], images: Any, masks: Any
    ) -> None:
        self.path = path
        self.settings = settings
        self.records = records
        self._images = images
        self._masks = masks
        self._begun = False

    @classmethod
    @contextmanager
    def writing(cls, path: Path, settings: dict[str, Any]) -> Iterator["SliceStore"]:
        """Open a store for writing, a new one or one with the same settings; one writer at a time.

        Raises:
            DataError: the folder contains other files, was prepared with other settings, or is being written.
        """
        path = Path(path)
        with _locked(path):
            if not _records(path / "patients.jsonl", repair=False):
                # There are no slices yet that could have been prepared with other settings.
                shutil.rmtree(path / "slices.zarr", ignore_errors=True)
                _mark(path)
                write_json(path / "provenance.json", {"settings": settings})
            _check_settings(path, settings)
            yield cls(path, settings, *_open(path, store_shape(settings)))

    @classmethod
    def reading(cls, path: Path) -> "SliceStore":
        """Open a finished store for reading.

        Raises:
            DataError: there is none, or it is not finished.
        """
        path = Path(path)
        provenance = _provenance(path)
        if provenance is None:
            raise DataError(f"{str(path)!r} holds no prepared slices. Make some: fgf prepare --config …")
        if (path / UNFINISHED).exists():
            raise DataError(f"The slices in {str(path)!r} are not all prepared. {CLOSING}")
        return cls(path, provenance["settings"], *_open(path))

    def __len__(self) -> int:
        return len(self.records)

    def add(self, record: dict[str, Any], image: np.ndarray, mask: np.ndarray) -> None:
        """Add a slice; if the process is killed, the slice is either complete or absent.

        Args:
            record: JSON-compatible values; `patient_id` and `fingerprint` are required.
            image: (H, W) or (D, H, W) float32 HU.
            mask: of the same shape, uint8.
        """
        self.begin()
        row = len(self.records)
        for array, pixels in ((self._images, image), (self._masks, mask)):
            array.resize((row + 1, *array.shape[1:]))
            array[row] = pixels
        with (self.path / "patients.jsonl").open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(record, allow_nan=False) + "\n")
            journal.flush()
            os.fsync(journal.fileno())
        self.records.append(record)

    def begin(self) -> None:
        """Mark the store as unfinished before changing it."""
        if not self._begun:
            _mark(self.path)
            self._begun = True

    def rows(self) -> dict[str, int]:
        """The row of the valid slice by patient_id."""
        return {record["patient_id"]: row for row, record in enumerate(self.records)}

    def slice(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Image, float32 HU, and mask, uint8, of one row, (H, W) or (D, H, W) each.

        Raises:
            DataError: the pixels are damaged.
        """
        try:
            return self._images[row], self._masks[row]
        except Exception as error:  # decoders raise many types
            raise DataError(
                f"Row {row} of {self.path / 'slices.zarr'} is damaged: {error}. Prepare the slices into "
                "another folder."
            ) from None

    def reject(self, rejected: list[dict[str, Any]]) -> None:
        """Write `rejected.csv`; the rows have the keys patient_id, stage, reason and remedy."""
        self.begin()
        write_table(self.path / "rejected.csv", rejected, ["patient_id", "stage", "reason", "remedy"])

    def finish(self, cohort: list[dict[str, Any]], provenance: dict[str, Any]) -> None:
        """Write the other tables and mark the store as complete.

        Args:
            cohort: rows of `cohort.csv`, at least one.
            provenance: content of `provenance.json` besides the settings.
        """
        self.begin()
        table = self.path / "cohort.csv"
        write_table(table, cohort, list(cohort[0]))
        content = {"settings": self.settings, **provenance, "cohort.csv": _checksum(table.read_bytes())}
        write_json(self.path / "provenance.json", content)
        (self.path / UNFINISHED).unlink()

    def provenance(self) -> dict[str, Any]:
        """The content of `provenance.json`: the argument of `finish`, and the settings."""
        return _provenance(self.path)

    def cohort(self) -> list[dict[str, str]]:
        """The rows of `cohort.csv`, as text.

        Raises:
            DataError: the file cannot be read or was changed, or it has ids that are not valid file names.
        """
        path = self.path / "cohort.csv"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}. {CLOSING}") from None
        provenance = self.provenance()
        checksum = provenance.get("cohort.csv")
        if checksum is not None and _checksum(content) != checksum:
            raise DataError(
                f"{path} is not the table that was prepared: it was edited, saved by another program or cut. "
                "Labels come from the table that data.labels_file names; change them there. "
                "`fgf prepare` writes this one again."
            )
        try:
            rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} is damaged: {error}. `fgf prepare` writes it again.") from None
        # Stores of earlier versions have no checksum, but the number of patients.
        expected = provenance.get("counts", {}).get("patients", len(rows))
        if len(rows) != expected:
            raise DataError(
                f"{path} has {len(rows)} rows, but {expected} patients were prepared: it was cut or edited. "
                "`fgf prepare` writes it again."
            )
        require_file_names((row.get("patient_id") or "" for row in rows), f"{path}, column 'patient_id'")
        return rows


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_table(path: Path, rows: list[dict[str, Any]], columns: list[str]) -> None:
    """Write CSV so that the file is either complete or absent; None is an empty cell."""
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Create the folder if it does not exist, and reserve it for this process."""
    try:
        _check_free(path)
        path.mkdir(parents=True, exist_ok=True)
        (path / ".lock").touch()
    except OSError as error:
        raise DataError(
            f"The folder {str(path)!r} cannot be written: {error.strerror}. Let data.out name another."
        ) from None
    with locked(path / ".lock", DataError(f"Another process is preparing {str(path)!r}. Wait for it.")):
        yield


def _mark(path: Path) -> None:
    text = f"Slices are being prepared here, or were. {CLOSING}\n"
    (path / UNFINISHED).write_text(text, encoding="utf-8")


def _check_free(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise DataError(f"{str(path)!r} is a file. Let data.out name a folder.")
    if path.is_dir() and _provenance(path) is None and any(p.name[0] != "." for p in path.iterdir()):
        raise DataError(
            f"The folder {str(path)!r} holds other things than prepared slices. Let data.out name an empty "
            "or a new one; nothing is overwritten."
        )


def _check_settings(path: Path, settings: dict[str, Any]) -> None:
    changed = changed_settings(_provenance(path)["settings"], settings)
    if changed:
        differences = "; ".join(f"{key}: {before!r}, now {now!r}" for key, (before, now) in changed.items())
        raise DataError(
            f"The slices in {str(path)!r} were prepared with other settings ({differences}). Let data.out "
            "name another folder, or remove this one."
        )


def _provenance(path: Path) -> Any:
    """The content of `provenance.json`, a mapping; None if the file does not exist."""
    file = path / "provenance.json"
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content["settings"], dict):
            raise TypeError("settings are not a mapping")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is damaged: {error}. Prepare the slices into another folder.") from None
    return content


def store_shape(settings: dict[str, Any]) -> tuple[int, ...]:
    """(rows, columns) of the slices of a store, (slices, rows, columns) of its volumes."""
    size = settings["size"]
    return tuple(size) if isinstance(size, list) else (size, size)


def _open(path: Path, shape: tuple[int, ...] | None = None) -> tuple[list[dict[str, Any]], Any, Any]:
    """Records and arrays; with a shape they are opened for writing, which drops an incomplete slice."""
    records = _records(path / "patients.jsonl", repair=shape is not None)
    try:
        # Any, because for zarr the members of a group may be arrays or groups.
        group: Any = zarr.open_group(path / "slices.zarr", mode="r" if shape is None else "a")
        if shape is not None and "mask" not in group:
            for name, kind in (("image", "float32"), ("mask", "uint8")):
                group.create_array(name, shape=(0, *shape), chunks=(1, *shape), dtype=kind, overwrite=True)
        arrays = [group["image"], group["mask"]]
        if shape is not None:
            for array in arrays:
                array.resize((len(records), *array.shape[1:]))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{path / 'slices.zarr'} cannot be opened: {error}. Prepare the slices into another folder."
        ) from None
    length = min(array.shape[0] for array in arrays)
    if length < len(records):
        raise DataError(
            f"{path} lists {len(records)} slices but holds {length}. Prepare them into another folder."
        )
    return records, arrays[0], arrays[1]


def _records(journal: Path, *, repair: bool) -> list[dict[str, Any]]:
    """The lines of the journal; the last one may be incomplete if the writer was killed."""
    if not journal.is_file():
        return []
    length, records = 0, []
    data = journal.read_bytes()
    for line in data.splitlines(keepends=True):
        try:
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            record = None
        if record is None:
            break
        length += len(line)
        records.append(record)
    if repair and length < len(data):
        os.truncate(journal, length)
    return records
