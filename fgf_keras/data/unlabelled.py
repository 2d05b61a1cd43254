"""Slices of patients without labels, as input of a trained model."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgf_keras.config.data import VOLUME_SUFFIXES, DataConfig
from fgf_keras.data.box import BoxRule
from fgf_keras.data.canvas import windowed
from fgf_keras.data.png import masked_slices, png_files
from fgf_keras.data.prepared.pseudonym import Names
from fgf_keras.data.prepared.source import PatientSource, RejectedPatient
from fgf_keras.errors import DataError


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """N slices as a model expects them.

    Attributes:
        patient_id: (N,) ids, each a valid name of a file.
        images: (N, size, size, 1) float32 in [0, 1]; of volumes (N, slices, rows, columns, 1).
        masks: of the same shape, uint8.
        spacing: (N, 2), (row, column) mm; of volumes (N, 3), (slice, row, column).
        rejected: patients that could not be read, and files that belong to no patient.
    """

    patient_id: np.ndarray
    images: np.ndarray
    masks: np.ndarray
    spacing: np.ndarray
    rejected: list[RejectedPatient]

    def select(self, rows: slice) -> "Unlabelled":
        """Some of the slices, without the list of rejected patients."""
        return Unlabelled(self.patient_id[rows], self.images[rows], self.masks[rows], self.spacing[rows], [])


def unlabelled_slices(
    path: str | Path,
    config: DataConfig,
    *,
    mask: str | Path | None = None,
    window: Sequence[float] | None = None,
) -> Unlabelled:
    """Read slices from a file or folder.

    Args:
        path: a masked PNG slice or a folder of them; a NIfTI or NRRD volume; a folder of prepared slices; or
            any other folder, which is read as DICOM with RTSTRUCT or SEG.
        config: settings for slice, region, spacing and canvas; its source and folders are not used.
        mask: volume that marks the tumour, if `path` is a volume.
        window: (low, high) HU that are mapped to [0, 1]; PNG slices have already been mapped.

    Raises:
        DataError: nothing can be read, or the slices are in HU and there is no window.
    """
    path = Path(path)
    require_images(path)
    if path.is_file() and path.name.endswith(VOLUME_SUFFIXES):
        return _volume(path, mask, config, window)
    if mask is not None:
        raise DataError(f"--mask goes with a volume ({', '.join(VOLUME_SUFFIXES)}). Received: {str(path)!r}.")
    if path.suffix.lower() == ".png":
        return _png({path.stem: path}, config)
    if path.is_file():
        raise DataError(f"{str(path)!r} is no PNG, {', '.join(VOLUME_SUFFIXES)} and no folder.")
    if (path / "provenance.json").is_file():
        return _prepared(path, config, window)
    files = png_files(path)
    return _png(files, config) if files else _dicom(path, config, window)


def require_images(path: str | Path) -> None:
    """Raise `DataError` if a path does not exist."""
    if not Path(path).exists():
        raise DataError(f"{str(path)!r} does not exist. Let --images name a file or a folder.")


def _png(files: Mapping[str, Path], config: DataConfig) -> Unlabelled:
    if config.dimension == 3:
        raise DataError("The model takes volumes, and PNG files are slices. Give it NIfTI, NRRD or DICOM.")
    images, masks = masked_slices(list(files.values()), config)
    pseudonyms = Names(config.pseudonymise)
    names = [pseudonyms.patient(name) for name in files]
    mm = config.spacing if config.spacing_mm is None else [config.spacing_mm] * 2
    spacing = np.tile(np.array(mm, np.float32), (len(names), 1))
    return Unlabelled(np.array(names), images, masks, spacing, [])


def _prepared(path: Path, config: DataConfig, window: Sequence[float] | None) -> Unlabelled:
    from fgf_keras.data.prepared.cohort import prepared_cohort

    cohort = prepared_cohort(path, config.model_copy(update={"window": _required(window)}))
    return Unlabelled(cohort.patient_id, cohort.images, cohort.masks, cohort.spacing, [])


def _volume(
    path: Path, mask: str | Path | None, config: DataConfig, window: Sequence[float] | None
) -> Unlabelled:
    from fgf_keras.data.volumes.volumes import VolumePatient, require_reader

    require_reader()
    if mask is None or not Path(mask).is_file():
        received = "none" if mask is None else f"{str(mask)!r}, which does not exist"
        raise DataError(f"A volume needs --mask, the volume that marks its tumour. Received: {received}.")
    name = path.name.removesuffix(".gz")
    patient = VolumePatient(
        patient_id=Path(name).stem,
        fingerprint="",
        image=path,
        mask=Path(mask),
        slice_rule=config.slice,
        mask_value=config.volumes.mask_value,
        box=BoxRule.of(config),
    )
    return _read([patient], [], config, window)


def _dicom(path: Path, config: DataConfig, window: Sequence[float] | None) -> Unlabelled:
    from fgf_keras.data.dicom.patient import dicom_patients

    roi = config.roi
    if roi.table is not None and not (path / roi.table.file).is_file():
        # A single study comes without the table of its cohort.
        roi = roi.model_copy(update={"table": None})
    if not roi.names and roi.pattern is None and roi.table is None:
        raise DataError(
            f"{str(path)!r} is read as DICOM, and nothing says which region is the tumour. Add "
            "data.roi.names=[NAME] or data.roi.pattern=REGEX; fgf inspect shows the names."
        )
    dicom_config = config.model_copy(update={"root": str(path), "source": "dicom", "roi": roi})
    return _read(*dicom_patients(dicom_config, n_jobs=os.cpu_count() or 1), dicom_config, window)


def _read(
    patients: Sequence[PatientSource],
    rejected: list[RejectedPatient],
    config: DataConfig,
    window: Sequence[float] | None,
) -> Unlabelled:
    from fgf_keras.data.prepared.patient import prepare_patient

    window = _required(window)
    names = Names(config.pseudonymise)
    slices: list[tuple[dict[str, Any], np.ndarray, np.ndarray]] = []
    for patient in patients:
        result = prepare_patient(patient, names.patient(patient.patient_id), config, names)
        if isinstance(result, RejectedPatient):
            rejected.append(result)
        else:
            slices.append(result)
    if not slices:
        refusals = "".join(f"\n  {r.patient_id or 'a file'}: {r.reason} {r.remedy}" for r in rejected[:3])
        raise DataError(f"No patient there could be read.{refusals or ' There are no DICOM files.'}")
    records, images, masks = zip(*slices)
    return Unlabelled(
        np.array([record["patient_id"] for record in records]),
        windowed(np.stack(images)[..., np.newaxis], window),
        np.stack(masks)[..., np.newaxis],
        np.array([[r[f"spacing_{a}_mm"] for a in "zyx"[-config.dimension :]] for r in records], np.float32),
        rejected,
    )


def _required(window: Sequence[float] | None) -> list[float]:
    if window is None:
        raise DataError(
            "The model was trained on slices that had been mapped to [0, 1] before, and nothing says from "
            "which HU. Give them: --window LOW HIGH."
        )
    return list(window)
