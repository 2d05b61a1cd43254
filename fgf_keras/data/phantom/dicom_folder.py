"""The phantom cohort as a folder of DICOM files and tables, to test everything that reads them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import joblib

from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.dicom_files import PatientFiles
from fgf_keras.data.phantom.law import phantom_labels
from fgf_keras.data.phantom.phantom import Canvas, phantom_canvas, phantom_id
from fgf_keras.data.phantom.tables import CLINICAL, REGIONS, write_clinical_table, write_region_table
from fgf_keras.data.phantom.volume import FEWEST_SLICES, phantom_volume
from fgf_keras.data.slices import listing
from fgf_keras.errors import DataError
from fgf_keras.progress import parallel

OBJECTS = ("rtstruct", "seg")
# mm. Slices that are closer are treated as one.
THINNEST = 0.1
# A patient's folder while it is being written.
UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class WrittenPhantom:
    """The numbers of patients, positive patients, files and bytes that were written."""

    patients: int
    positive: int
    files: int
    bytes: int

    def summary(self) -> str:
        """One line to print."""
        return (
            f"Written: {self.patients} patients, {self.positive} positive, {self.files} files, "
            f"{self.bytes / 1e6:.1f} MB."
        )


class _Stack(NamedTuple):
    """Parameters that all patients share."""

    canvas: Canvas
    seed: int
    slices: int
    slice_mm: float
    objects: tuple[str, ...]


def write_phantom_dicom(
    folder: Path,
    config: PhantomConfig,
    *,
    size: int,
    spacing: Sequence[float],
    seed: int,
    slices: int = 7,
    slice_mm: float = 3.0,
    objects: Sequence[str] = OBJECTS,
    n_jobs: int = 1,
    title: str = "Writing",
) -> WrittenPhantom:
    """Write the cohort of `phantom_cohort` as CT, RTSTRUCT and SEG of each patient, and two tables.

    The slice with the largest tumour area is that of the phantom: its HU rounded to integers, and its exact
    mask as contours and as a segment. On the slices around it the tumour shrinks and ends. The position of
    the patient, the order of the file names, the slice numbers, the stored type, and the spelling and order
    of the regions vary.

    The same arguments write the same bytes. The folder of a patient appears when it is complete, and the
    tables are written last: a folder without clinical.xlsx is unfinished.

    Args:
        folder: created if it does not exist; otherwise it must be empty.
        config, size, spacing, seed: as for `phantom_cohort`.
        slices: number of slices per patient, 5 or more.
        slice_mm: distance between slices.
        objects: objects that contain the regions, `rtstruct`, `seg` or both.
        n_jobs: number of processes.
        title: of the progress bar.

    Raises:
        DataError: the folder is not empty or cannot be written, or an argument is out of range.
    """
    folder = Path(folder)
    _check(slices, slice_mm, objects)
    labels = phantom_labels(config, seed).labels
    stack = _Stack(phantom_canvas(size, spacing), seed, slices, slice_mm, tuple(objects))
    patients = [phantom_id(number) for number in range(config.patients)]
    tasks = (joblib.delayed(_write_patient)(folder, number, stack) for number in range(len(patients)))
    try:
        _make(folder)
        names = list(parallel(tasks, n_jobs=n_jobs, total=len(patients), title=title, what="patients"))
        write_region_table(folder / REGIONS, patients, names)
        write_clinical_table(folder / CLINICAL, patients, labels.tolist())
    except OSError as error:
        raise DataError(
            f"The phantom cannot be written into {str(folder)!r}: {error.strerror or error}. "
            "What is there is unfinished: remove it, and name a folder that can be written and has room."
        ) from error
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return WrittenPhantom(len(patients), int(labels.sum()), len(sizes), sum(sizes))


def _check(slices: int, slice_mm: float, objects: Sequence[str]) -> None:
    if slices < FEWEST_SLICES:
        raise DataError(
            f"slices must be {FEWEST_SLICES} or more, so that some have tumour and some have none. "
            f"Received: {slices}."
        )
    if not THINNEST <= slice_mm < float("inf"):
        raise DataError(f"slice_mm must be {THINNEST} or more. Received: {slice_mm}.")
    if not objects or not set(objects) <= set(OBJECTS):
        raise DataError(f"objects must be some of {', '.join(OBJECTS)}. Received: {listing(objects)}.")


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(os.listdir(folder))
    if names:
        state = "" if CLINICAL in names else f" Without {CLINICAL} it is no finished phantom."
        raise DataError(
            f"The folder {str(folder)!r} is not empty: it holds {listing(names)}.{state} Nothing is "
            "overwritten: name a new folder, or remove this one."
        )


def _write_patient(folder: Path, number: int, stack: _Stack) -> tuple[str, str | None]:
    """Write one patient; returns the names of its tumour and its nodes."""
    canvas, seed, slices, slice_mm, objects = stack
    volume = phantom_volume(number, canvas, seed=seed, slices=slices, slice_mm=slice_mm)
    patient_id = phantom_id(number)
    # Other arguments give other pixels, and therefore other instances.
    entropy = ("fgf_keras phantom", repr((number, seed, volume.shape, volume.spacing, slices)))
    unfinished = folder / (patient_id + UNFINISHED)
    unfinished.mkdir()
    files = PatientFiles(unfinished, volume, patient_id, entropy)
    files.write_ct()
    if "rtstruct" in objects:
        files.write_structure_set()
    if "seg" in objects:
        files.write_segmentation()
    unfinished.rename(folder / patient_id)
    names = {region.kind: region.name for region in volume.regions}
    return names["tumour"], names.get("nodes")
