"""The report on one network: evaluation/report.html and report.md, and its short form on a terminal."""

from collections.abc import Callable

from fgf_keras.report.document import Document, Section
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
    """The report: the section of each function in `SECTIONS` that has something to say, and how it was made.

    Args:
        provenance: how the run was made.
        result: what it came to.
    """
    with report_style():
        every = [section(provenance, result) for section in SECTIONS]
    sections = [section for section in every if section is not None]
    sections += closing_sections(provenance, result.data["fingerprint"])
    part = result.part.name.capitalize()
    return Document(
        f"Feature gradient flow: {provenance.config.run.name}",
        f"What a network reacts to, in the words of named features. {part} patients.",
        sections,
    )


def _summary(provenance, result):
    section = summary_section(result.part, _features(provenance), result.metrics.confidence)
    section.blocks.extend(findings_blocks(result.findings))
    return section


def _question(provenance, result):
    return question_section()


def _data(provenance, result):
    trained = provenance.environment["data"]
    return data_section(provenance.config, result.data, result.metrics, trained)


def _performance(provenance, result):
    seed = provenance.config.seed
    return performance_section(result.metrics, result.patients, result.part.name, seed=seed)


def _calibration(provenance, result):
    confidence = result.metrics.confidence
    return calibration_section(provenance.config, result.patients, result.part.name, confidence)


def _alignment(provenance, result):
    return alignment_section(result.part, _features(provenance))


def _patients(provenance, result):
    part, threshold = result.part, result.metrics.threshold["logit"]
    return patients_section(result.patients, part.name, _features(provenance), part.supports, threshold)


def _pictures(provenance, result):
    if result.pages and not result.shown:
        return page_gallery_section(result.pages, _features(provenance))
    return gallery_section(result.shown, result.patients)


def _behaviour(provenance, result):
    return None if result.behaviour is None else behaviour_section(result.behaviour)


def _sanity(provenance, result):
    return None if result.sanity is None else sanity_section(result.sanity)


def _features(provenance):
    return [feature.name for feature in provenance.config.features]


# In the order of the report: functions of (provenance, result) to a section, or to None.
SECTIONS: list[Callable[[Provenance, RunResult], Section | None]] = [
    _summary,
    _question,
    _data,
    _performance,
    _calibration,
    _alignment,
    _patients,
    _pictures,
    _behaviour,
    _sanity,
]


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
