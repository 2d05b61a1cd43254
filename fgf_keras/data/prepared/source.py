"""The interface of a patient in a source: the chosen slice or box, or the reason why there is none."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

# The stages of the preparation of a patient, in order.
STAGES = ("file", "label", "series", "region", "slice", "pixels", "canvas")


@dataclass(frozen=True, eq=False)
class SourceSlice:
    """One slice on the grid of its source, or a box around the tumour.

    Attributes:
        hu: (rows, columns) float32 Hounsfield units; (slices, rows, columns) of the box.
        mask: bool, the tumour, at least one pixel, of the same shape.
        spacing: (z, y, x) mm; z is NaN if it is unknown, as for a single slice.
        index: of the slice in its volume, counted along the normal; of a box, the tumour's middle slice.
        z_mm: position of that slice along the normal.
        source_uid: identity of the image: SeriesInstanceUID, or "" if there is none.
        roi_object: the kind of object with the region: `rtstruct`, `seg` or `volume`.
        roi_names, roi_numbers: the regions that make up the mask.
        warnings: number of occurrences of each warning, e.g. {"duplicate": 1}.
    """

    hu: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float, float]
    index: int
    z_mm: float
    source_uid: str
    roi_object: str
    roi_names: tuple[str, ...]
    roi_numbers: tuple[int, ...]
    warnings: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RejectedPatient:
    """Why a patient, or a file that belongs to no patient, is not in the cohort.

    Attributes:
        patient_id: as in the source; "" for a file that belongs to no patient.
        stage: the stage at which it was rejected, one of `STAGES`.
        reason, remedy: as in `SourceError`, free of file names.
    """

    patient_id: str
    stage: str
    reason: str
    remedy: str


class PatientSource(Protocol):
    """A patient with existing files; it can be sent to another process to be read."""

    @property
    def patient_id(self) -> str:
        """The id in the source."""

    @property
    def fingerprint(self) -> str:
        """A hash that changes when the files of the patient change."""

    def read(self) -> SourceSlice | RejectedPatient:
        """Read the files, and choose region and slice. Problems with the files are returned, not raised."""
