"""The report on one network: evaluation/report.html and report.md, and its short form on a terminal."""

from fgf_keras.report.document import Document
from fgf_keras.report.sections.alignment import alignment_section
from fgf_keras.report.sections.behaviour import behaviour_section, behaviour_summary
from fgf_keras.report.sections.calibration import calibration_section
from fgf_keras.report.sections.cohort import data_section
from fgf_keras.report.sections.findings import findings_blocks, findings_summary
from fgf_keras.report.sections.patients import gallery_section, page_gallery_section, patients_section
from fgf_keras.report.sections.performance import performance_section
from fgf_keras.report.sections.provenance import Provenance, closing_sections
from fgf_keras.report.sections.question import question_section
from fgf_keras.report.sections.sanity import sanity_section, sanity_summary
from fgf_keras.report.sections.side_by_side import side_by_side_table
from fgf_keras.report.sections.summary import summary_section
from fgf_keras.report.style import report_style
from fgf_keras.results.run import RunResult


def run_report(provenance: Provenance, result: RunResult) -> Document:
    """The report.

    Args:
        provenance: how the run was made.
        result: what it came to.
    """
    config, metrics, part, patients = provenance.config, result.metrics, result.part, result.patients
    features = [feature.name for feature in config.features]
    with report_style():
        summary = summary_section(part, features, metrics.confidence)
        summary.blocks.extend(findings_blocks(result.findings))
        sections = [
            summary,
            question_section(),
            data_section(config, result.data, metrics, provenance.environment["data"]),
            performance_section(metrics, patients, part.name, seed=config.seed),
            calibration_section(config, patients, part.name, metrics.confidence),
            alignment_section(part, features),
            patients_section(patients, part.name, features, part.supports, metrics.threshold["logit"]),
            page_gallery_section(result.pages, features)
            if result.pages and not result.shown
            else gallery_section(result.shown, patients),
        ]
        if result.behaviour is not None:
            sections.append(behaviour_section(result.behaviour))
        if result.sanity is not None:
            sections.append(sanity_section(result.sanity))
    sections += closing_sections(provenance, result.data["fingerprint"])
    return Document(
        f"Feature gradient flow: {config.run.name}",
        f"What a network reacts to, in the words of named features. {part.name.capitalize()} patients.",
        sections,
    )


def run_summary(name: str, result: RunResult) -> list:
    """The blocks that a terminal shows.

    Args:
        name: of the run.
        result: what it came to.
    """
    blocks = [side_by_side_table({name: result.part}, f"{result.part.name} split")]
    if result.sanity is not None:
        blocks += sanity_summary(result.sanity)
    if result.behaviour is not None:
        blocks += behaviour_summary(result.behaviour)
    return blocks + (findings_summary(result.findings) if result.findings else [])
