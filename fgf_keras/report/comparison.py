"""The report on a comparison of arms: evaluation/report.html and .md, and the summary on a terminal."""

from collections.abc import Mapping
from typing import Any

from fgf_keras.report.document import Block, Document, Table
from fgf_keras.report.sections.ablation import ablation_rows, ablation_section
from fgf_keras.report.sections.arms import arms_section
from fgf_keras.report.sections.bars import study_bar_lead
from fgf_keras.report.sections.cohort import data_section
from fgf_keras.report.sections.findings import findings_blocks, findings_summary
from fgf_keras.report.sections.networks import networks_section, pages_section
from fgf_keras.report.sections.overview import comparison_question_section, detailed_arms, overview_section
from fgf_keras.report.sections.protocol import protocol_summary
from fgf_keras.report.sections.provenance import Provenance, closing_sections
from fgf_keras.report.sections.roc import arms_roc_section
from fgf_keras.report.sections.side_by_side import side_by_side_table
from fgf_keras.report.sections.trade_off import trade_off_section, trade_off_summary
from fgf_keras.report.sections.truth import truth_section, truth_tables
from fgf_keras.report.style import report_style
from fgf_keras.results.study import Study


def comparison_report(
    provenance: Provenance,
    study: Study,
    data: dict[str, Any],
    pages: Mapping[tuple[str, str], tuple[str, bytes]],
) -> Document:
    """Build the report.

    Args:
        provenance: how the comparison was made.
        study: results of the comparison.
        data: description of the measured cohort, see `Cohort.description`.
        pages: see `networks.pages_section`.
    """
    config, arms = study.config, detailed_arms(study)
    first = next(metrics for metrics in study.metrics.values() if metrics)
    with report_style():
        overview = overview_section(study)
        if study.truth is None:
            overview.blocks[:0] = study_bar_lead(study.arm_results, config.evaluate.confidence)
        overview.blocks.extend(findings_blocks(study.findings))
        sections = [
            overview,
            comparison_question_section(study),
            data_section(config, data, first, provenance.environment["data"]),
            arms_section(study),
        ]
        if study.trade_off is not None:
            sections.append(trade_off_section(study))
        if study.truth is not None:
            sections.append(truth_section(study))
        sections.append(arms_roc_section(study, arms))
        if study.ablation is not None:
            sections.append(ablation_section(study))
        sections += [networks_section(study, arms), pages_section(pages)]
    sections += closing_sections(provenance, data)
    return Document(
        f"Comparison of {len(config.arms)} arms: {config.run.name}",
        "Feature gradient flow: what networks that were trained differently react to. "
        f"{study.part.capitalize()} patients.",
        sections,
    )


def comparison_summary(study: Study) -> list[Block]:
    """The blocks of the summary on a terminal."""
    if study.truth is not None:
        return truth_tables(study)
    blocks: list[Block] = [arms_table(study)] if study.protocol.empty else protocol_summary(study)
    if study.ablation is not None:
        blocks.append(ablation_rows(study))
    if study.trade_off is not None:
        blocks += trade_off_summary(study)
    return blocks + findings_summary(study.findings)


def arms_table(study: Study) -> Table:
    """The arms of a single split side by side."""
    return side_by_side_table(study.runs, f"{study.part} split")
