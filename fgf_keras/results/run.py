"""The results of the evaluation of one network, as its report uses them."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fgf_keras.pictures.files import ShownPatient
from fgf_keras.results.metrics import PartMetrics, RunMetrics


@dataclass(frozen=True)
class RunResult:
    """The results of the evaluation of one network.

    Attributes:
        metrics: of the network; the last part is the one that is reported.
        patients: content of patients.csv, indexed by patient_id.
        data: description of the measured cohort, see `Cohort.description`.
        findings: content of findings.json; None if nothing was checked.
        behaviour: content of behaviour.json, or None.
        collapse: content of collapse.json, or None.
        sanity: content of sanity.json, or None.
        shown: patients with their pictures, by support.
        pages: content of patients_<support>.png by support, for runs without single pictures.
    """

    metrics: RunMetrics
    patients: pd.DataFrame
    data: dict[str, Any]
    findings: list[dict[str, Any]] | None = None
    behaviour: dict[str, Any] | None = None
    collapse: dict[str, Any] | None = None
    sanity: dict[str, Any] | None = None
    shown: dict[str, list[ShownPatient]] = field(default_factory=dict)
    pages: dict[str, bytes] = field(default_factory=dict)

    @property
    def part(self) -> PartMetrics:
        """The metrics of the part that is reported."""
        return list(self.metrics.parts.values())[-1]
