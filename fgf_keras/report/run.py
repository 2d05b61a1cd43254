"""The report on one network: evaluation/report.html and report.md, and the summary on a terminal."""

from collections.abc import Callable
from typing import Any

from fgf_keras.pictures.planes import SENTENCE
from fgf_keras.report.document import Block, Document, Section, Text
from fgf_keras.report.sections.alignment import alignment_section
from fgf_keras.report.sections.bars import bar_blocks, bar_lead
from fgf_keras.report.sections.behaviour import behaviour_section, behaviour_summary
from fgf_keras.report.sections.calibration import calibration_section
from fgf_keras.report.sections.clinical import clinical_section
from fgf_keras.report.sections.cohort import data_section
from fgf_keras.report.sections.collapse import collapse_section, collapse_summary
from fgf_keras.report.sections.contributions import waterfall_blocks
from fgf_keras.report.sections.controls import controls_section
from fgf_keras.report.sections.effects import effects_section
from fgf_keras.report.sections.findings import findings_blocks, findings_summary
from fgf_keras.report.sections.groups import groups_section
from fgf_keras.report.sections.lenses import lenses_section
from fgf_keras.report.sections.patients import gallery_section, page_gallery_section, patients_section
from fgf_keras.report.sections.performance import performance_section
from fgf_keras.report.sections.population import population_section
from fgf_keras.report.sections.provenance import Provenance, closing_sections
from fgf_keras.report.sections.question import question_section
from fgf_keras.report.sections.reward_change import reward_change_blocks, reward_change_sentences
from fgf_keras.report.sections.sanity import sanity_section, sanity_summary
from fgf_keras.report.sections.score_groups import score_group_blocks
from fgf_keras.report.sections.side_by_side import side_by_side_table
from fgf_keras.report.sections.summary import summary_section
from fgf_keras.report.style import report_style
from fgf_keras.results.chosen import shown_patients
from fgf_keras.results.run import RunResult


def run_report(provenance: Provenance, result: RunResult) -> Document:
    """Build the report from the functions in `SECTIONS` that return a section, and the closing sections.

    Args:
        provenance: how the run was made.
        result: of the evaluation.
    """
    with report_style():
        candidates = [section(provenance, result) for section in SECTIONS]
    sections = [section for section in candidates if section is not None]
    sections += closing_sections(provenance, result.data)
    part = result.part.name.capitalize()
    return Document(
        f"Feature gradient flow: {provenance.config.run.name}",
        f"What a network reacts to, in the words of named features. {part} patients.",
        sections,
    )


def _summary(provenance: Provenance, result: RunResult) -> Section:
    config = provenance.config
    section = summary_section(result, _features(provenance), config.evaluate.alpha, reward=config.reward)
    section.blocks[:0] = bar_lead(result.part, result.metrics.confidence)
    section.blocks.extend(bar_blocks(result.metrics, result.part))
    section.blocks.extend(reward_change_blocks(result.metrics.content.get("reward_change")))
    section.blocks.extend(findings_blocks(result.findings))
    return section


def _lenses(provenance: Provenance, result: RunResult) -> Section:
    section = lenses_section(result, _features(provenance), provenance.config.evaluate.alpha)
    section.blocks.extend(_waterfalls(provenance, result))
    return section


def _question(provenance: Provenance, result: RunResult) -> Section:
    return question_section()


def _data(provenance: Provenance, result: RunResult) -> Section:
    trained = provenance.environment["data"]
    return data_section(provenance.config, result.data, result.metrics, trained)


def _performance(provenance: Provenance, result: RunResult) -> Section:
    seed = provenance.config.seed
    return performance_section(result.metrics, result.patients, result.part.name, seed=seed)


def _groups(provenance: Provenance, result: RunResult) -> Section | None:
    return groups_section(result.metrics, result.part.name)


def _calibration(provenance: Provenance, result: RunResult) -> Section:
    confidence = result.metrics.confidence
    return calibration_section(provenance.config, result.patients, result.part.name, confidence)


def _alignment(provenance: Provenance, result: RunResult) -> Section:
    return alignment_section(result.part, _features(provenance))


def _effects(provenance: Provenance, result: RunResult) -> Section | None:
    return effects_section(
        result.part,
        result.metrics.reference,
        _features(provenance),
        result.patients,
        _shown(result),
        result.behaviour,
    )


def _population(provenance: Provenance, result: RunResult) -> Section | None:
    return population_section(result.part, provenance.config.evaluate.alpha)


def _clinical(provenance: Provenance, result: RunResult) -> Section | None:
    return clinical_section(result.part, result.part.clinical)


def _controls(provenance: Provenance, result: RunResult) -> Section | None:
    return None if result.controls is None else controls_section(result.controls, result.part)


def _patients(provenance: Provenance, result: RunResult) -> Section:
    part, threshold = result.part, result.metrics.threshold["logit"]
    section = patients_section(result.patients, part.name, _features(provenance), part.supports, threshold)
    rows = result.patients[result.patients["split"] == part.name]
    settings: dict[str, Any] = {"confidence": result.metrics.confidence, "seed": provenance.config.seed}
    section.blocks.extend(score_group_blocks(rows, part.supports[0], threshold, **settings))
    return section


def _pictures(provenance: Provenance, result: RunResult) -> Section:
    if result.pages and not result.shown:
        return page_gallery_section(result.pages, _features(provenance))
    reasons = shown_patients(result.patients, result.part.name, provenance.config.evaluate)
    # Pictures of earlier versions were chosen otherwise.
    known = reasons if set(_shown(result)) <= set(reasons) else {}
    note = SENTENCE if result.data.get("dimension") == 3 else ""
    return gallery_section(result.shown, result.patients, known, note)


def _behaviour(provenance: Provenance, result: RunResult) -> Section | None:
    return None if result.behaviour is None else behaviour_section(result.behaviour)


def _collapse(provenance: Provenance, result: RunResult) -> Section | None:
    return None if result.collapse is None else collapse_section(result.collapse)


def _sanity(provenance: Provenance, result: RunResult) -> Section | None:
    return None if result.sanity is None else sanity_section(result.sanity)


def _waterfalls(provenance: Provenance, result: RunResult) -> list[Block]:
    reference, shown = result.metrics.reference, _shown(result)
    if reference is None or not shown:
        return []
    support = result.part.supports[0]
    plots = waterfall_blocks(result.patients, shown, _features(provenance), reference, support)
    lead = Text(
        "The scores of the patients shown, as sums over the features (how they were chosen: see below):"
    )
    return [lead, *plots] if plots else []


def _shown(result: RunResult) -> list[str]:
    """Ids of the patients with pictures."""
    return [patient.patient_id for patient in next(iter(result.shown.values()), [])]


def _features(provenance: Provenance) -> list[str]:
    return [feature.name for feature in provenance.config.features]


# In the order of the report: functions of (provenance, result) that return a section or None.
SECTIONS: list[Callable[[Provenance, RunResult], Section | None]] = [
    _summary,
    _lenses,
    _clinical,
    _question,
    _data,
    _performance,
    _groups,
    _calibration,
    _population,
    _effects,
    _alignment,
    _patients,
    _pictures,
    _behaviour,
    _collapse,
    _controls,
    _sanity,
]


def run_summary(name: str, result: RunResult) -> list[Block]:
    """The blocks of the summary on a terminal.

    Args:
        name: of the run.
        result: of the evaluation.
    """
    blocks: list[Block] = bar_lead(result.part, result.metrics.confidence)
    blocks += [side_by_side_table({name: result.part}, f"{result.part.name} split")]
    if sentences := reward_change_sentences(result.metrics.content.get("reward_change")):
        blocks += [Text(sentences)]
    if result.sanity is not None:
        blocks += sanity_summary(result.sanity)
    if result.behaviour is not None:
        blocks += behaviour_summary(result.behaviour)
    if result.collapse is not None:
        blocks += collapse_summary(result.collapse)
    return blocks + (findings_summary(result.findings) if result.findings else [])
