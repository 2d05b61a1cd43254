"""The report on one model: evaluation/report.html and report.md."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fgf_keras.config import Config
from fgf_keras.evaluation.pictures import PatientPanels
from fgf_keras.evaluation.report_blocks import Report
from fgf_keras.evaluation.report_checks import behaviour_section, findings_blocks, read_checks, sanity_section
from fgf_keras.evaluation.report_patients import gallery_section, patients_section
from fgf_keras.evaluation.report_render import write_report
from fgf_keras.evaluation.report_sections import (
    alignment_section,
    calibration_section,
    closing_sections,
    data_section,
    performance_section,
    question_section,
    summary_section,
)
from fgf_keras.evaluation.report_style import report_style


@dataclass(frozen=True)
class RunFacts:
    """What a report says about a run beside its figures.

    Attributes:
        config: of the run.
        environment: content of its environment.json.
        command: that wrote the report, see `report_text.command_line`.
    """

    config: Config
    environment: dict
    command: str


def write_run_report(
    facts: RunFacts,
    metrics: dict,
    patients: pd.DataFrame,
    data: dict,
    panels: dict[str, list[PatientPanels]],
    directory: Path,
) -> None:
    """Write report.html, report.md and report_figures/ into a folder.

    behaviour.json, sanity.json and findings.json are told where they lie there already.

    Args:
        facts: about the run.
        metrics: content of metrics.json; the last split is the one that is reported.
        patients: as patients.csv holds them, by patient_id.
        data: description of the cohort, see `Cohort.description`.
        panels: patients to show, by support.
        directory: an existing folder, with the pages of patients.
    """
    write_report(run_report(facts, metrics, patients, data, panels, read_checks(directory)), directory)


def run_report(facts: RunFacts, metrics, patients, data, panels, checks) -> Report:
    """The report as blocks; arguments as for `write_run_report`, and what `read_checks` found."""
    config = facts.config
    split = list(metrics["splits"])[-1]
    features = [feature.name for feature in config.features]
    supports = list(metrics["splits"][split]["alignment"])
    with report_style():
        summary = summary_section(metrics, split, features)
        summary.blocks.extend(findings_blocks(checks.get("findings")))
        sections = [
            summary,
            question_section(),
            data_section(config, data, metrics, facts.environment["data"]),
            performance_section(config, metrics, patients, split),
            calibration_section(config, patients, split, metrics["confidence"]),
            alignment_section(metrics, split, features),
            patients_section(patients, metrics, split, features, supports),
            gallery_section(panels, patients),
        ]
        if "behaviour" in checks:
            sections.append(behaviour_section(checks["behaviour"]))
        if "sanity" in checks:
            sections.append(sanity_section(checks["sanity"]))
    sections += closing_sections(config, facts.environment, data["fingerprint"], facts.command)
    return Report(
        f"Feature gradient flow: {config.run.name}",
        f"What a network reacts to, in the words of named features. {split.capitalize()} patients.",
        sections,
    )
