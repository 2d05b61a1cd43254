"""What an evaluation of one network found, as its report needs it."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fgf_keras.pictures.files import ShownPatient
from fgf_keras.results.metrics import PartMetrics, RunMetrics


@dataclass(frozen=True)
class RunResult:
    """What an evaluation of one network found.

    Attributes:
        metrics: of the network; the last part is the one that is reported.
        patients: content of patients.csv, by patient_id.
        data: description of the cohort that was measured, see `Cohort.description`.
        findings: content of findings.json, None where nothing was looked for.
        behaviour: content of behaviour.json, or None.
        sanity: content of sanity.json, or None.
        shown: patients in pictures, by support.
        pages: content of patients_<support>.png by support, for runs that have no single pictures.
    """

    metrics: RunMetrics
    patients: pd.DataFrame
    data: dict[str, Any]
    findings: list[dict[str, Any]] | None = None
    behaviour: dict[str, Any] | None = None
    sanity: dict[str, Any] | None = None
    shown: dict[str, list[ShownPatient]] = field(default_factory=dict)
    pages: dict[str, bytes] = field(default_factory=dict)

    @property
    def part(self) -> PartMetrics:
        """The metrics of the part that is reported."""
        return list(self.metrics.parts.values())[-1]
