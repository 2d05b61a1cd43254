"""Preparation of one patient, usually in another process: read, resample, place or crop, measure."""

import logging
import math
from typing import Any

import numpy as np

from fgf_keras.config.data import DataConfig
from fgf_keras.data.canvas import bounds, place, resample
from fgf_keras.data.measurements import measurements, volume_measurements
from fgf_keras.data.prepared.pseudonym import Names
from fgf_keras.data.prepared.source import PatientSource, RejectedPatient, SourceSlice
from fgf_keras.data.refusal import SourceError

_log = logging.getLogger(__name__)


def prepare_patient(
    patient: PatientSource, name: str, config: DataConfig, names: Names
) -> tuple[dict[str, Any], np.ndarray, np.ndarray] | RejectedPatient:
    """The entry of one patient for the store, or the reason why there is none. Never raises.

    Args:
        patient: the files of the patient.
        name: the id of the patient in all output.
        config: settings for slice, spacing and canvas.
        names: for the identifiers of images and regions.

    Returns:
        The record, the slice (size, size) or volume (slices, rows, columns), float32 HU, and its mask uint8.
    """
    try:
        source = patient.read()
        if isinstance(source, RejectedPatient):
            return source
        return _placed(source, patient, name, config, names)
    except SourceError as error:
        return RejectedPatient(patient.patient_id, "canvas", error.reason, error.remedy)
    except Exception as error:  # a bug must not stop the other patients
        _log.exception("A patient could not be prepared.")
        return RejectedPatient(
            patient.patient_id,
            "series",
            f"Reading failed with an unexpected {type(error).__name__}.",
            "Please report it, with the traceback from the log.",
        )


def stored_fingerprint(patient: PatientSource, names: Names) -> str:
    """The fingerprint of the files of a patient, as it is stored."""
    return names.fingerprint(patient.fingerprint.encode())


def _placed(
    source: SourceSlice, patient: PatientSource, name: str, config: DataConfig, names: Names
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    hu, mask, spacing = source.hu, source.mask, source.spacing[1:]
    if config.dimension == 3:  # cropped already, where only the slices of the box are read
        image, mask = hu, mask.astype(np.uint8)
        measured = volume_measurements(image, mask, source.spacing)
    else:
        if config.spacing_mm is not None:
            hu, mask = resample(hu, mask, spacing, config.spacing_mm)
            spacing = (config.spacing_mm, config.spacing_mm)
        image, mask = place(hu, mask, size=config.edge, centre=config.centre)
        measured = measurements(image, mask, spacing)
    z = source.spacing[0]
    record = {
        "patient_id": name,
        "fingerprint": stored_fingerprint(patient, names),
        "source_series_uid": names.uid(source.source_uid),
        "roi_object": source.roi_object,
        "roi_names": "; ".join(names.regions(source.roi_names, config.roi.names)),
        "roi_numbers": "; ".join(map(str, source.roi_numbers)),
        "slice_index": source.index,
        "z_mm": _rounded(source.z_mm),
        "spacing_z_mm": None if math.isnan(z) else _rounded(z),
        "spacing_y_mm": _rounded(float(spacing[0])),
        "spacing_x_mm": _rounded(float(spacing[1])),
        **{name: _rounded(value) for name, value in measured.items()},
        **_bounds(mask),
        "warnings": "; ".join(f"{what}: {count}" for what, count in sorted(source.warnings.items())),
    }
    return record, image, mask


def _bounds(mask: np.ndarray) -> dict[str, int]:
    """The bounding box of a mask, of a slice or a volume, as columns of a table."""
    axes = ("slice", "row", "column")[-mask.ndim :]
    first, extent = bounds(mask)
    columns = {f"box_{axis}": int(at) for axis, at in zip(axes, first)}
    return columns | {f"box_{axis}s": int(n) for axis, n in zip(axes, extent)}


def _rounded(value: Any) -> Any:
    """Round a float for a table; other values are returned unchanged."""
    return round(value, 6) if isinstance(value, float) else value
