"""What a source of volumes gives of one patient: the slice that was picked, or why there is none."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

# How far a patient came, in this order.
STAGES = ("file", "label", "series", "region", "slice", "pixels", "canvas")


@dataclass(frozen=True, eq=False)
class SourceSlice:
    """One slice on the grid of its source.

    Attributes:
        hu: (rows, columns) float32 Hounsfield units.
        mask: (rows, columns) bool, the tumour, at least one pixel.
        spacing: (z, y, x) mm; z is NaN where a single slice does not tell.
        index: of the slice in its volume, counted along the normal.
        z_mm: its position along the normal.
        source_uid: identity of the image: SeriesInstanceUID, or "" where it has none.
        roi_object: what the region comes from: `rtstruct`, `seg` or `volume`.
        roi_names, roi_numbers: the regions that make up the mask.
        warnings: what deserves a look, and how often, e.g. {"duplicate": 1}.
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
    """Why a patient, or a file that belongs to none, is not in the cohort.

    Attributes:
        patient_id: as the source has it; "" for a file that belongs to none.
        stage: how far it came, one of STAGES.
        reason, remedy: as in `SourceError`, free of file names.
    """

    patient_id: str
    stage: str
    reason: str
    remedy: str


class PatientSource(Protocol):
    """A patient whose files were found; it is sent to another process to be read."""

    @property
    def patient_id(self) -> str:
        """As the source has it."""

    @property
    def fingerprint(self) -> str:
        """Changes when the patient's files do."""

    def read(self) -> SourceSlice | RejectedPatient:
        """Read the files, choose region and slice. Never raises for what is wrong with the files."""
