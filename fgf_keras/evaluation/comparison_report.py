"""The report on a comparison of arms: evaluation/report.html and report.md."""

import os
from pathlib import Path

import pandas as pd

from fgf_keras.evaluation.comparison_details import (
    ablation_section,
    models_section,
    pages_section,
    trade_off_section,
    truth_section,
)
from fgf_keras.evaluation.comparison_sections import (
    arms_roc_section,
    arms_section,
    arms_told,
    comparison_question_section,
    overview_section,
)
from fgf_keras.evaluation.protocol_table import protocol_table, trial_table
from fgf_keras.evaluation.report import RunFacts
from fgf_keras.evaluation.report_blocks import Report
from fgf_keras.evaluation.report_checks import findings_blocks, read_checks
from fgf_keras.evaluation.report_render import write_report
from fgf_keras.evaluation.report_sections import (
    closing_sections,
    data_section,
)
from fgf_keras.evaluation.report_style import report_style
from fgf_keras.evaluation.trade_off import largest_weights, trade_off_table
from fgf_keras.run_folder import RunFolder, read_json
from fgf_keras.trial import trials_of


def write_comparison_report(
    facts: RunFacts, found: dict, folder: RunFolder, data: dict, *, split: str, where: str, tables: Path
) -> None:
    """Write report.html, report.md and report_figures/ into the folder `where` of a comparison.

    Args:
        facts: about the comparison.
        found: content of metrics.json by (name of the split of the cohort, arm), None where a trial failed.
        folder: of the comparison.
        data: description of the cohort that was measured, see `Cohort.description`.
        split: which part is reported: "test", or "external".
        where: name of the folder, in that of the comparison and in that of each trial.
        tables: folder with the tables of the comparison.
    """
    directory = folder.path / where
    directory.mkdir(exist_ok=True)
    trials = {(trial.split, trial.arm.name): trial for trial in trials_of(facts.config)}
    whole = {key: trial for key, trial in trials.items() if found[key]}
    patients = {
        key: pd.read_csv(trial.folder(folder).path / where / "patients.csv", dtype={"patient_id": str})
        for key, trial in whole.items()
    }
    failures = {
        trial.name: read_json(trial.folder(folder).failure_file)["error"]
        for key, trial in trials.items()
        if not found[key]
    }
    ablation, truth = tables / "ablation.json", tables / "truth.png"
    pages = _pages(facts.config, folder, whole, where)
    report = comparison_report(
        facts,
        found,
        patients,
        data,
        split=split,
        failures=failures,
        pages=pages,
        ablation=read_json(ablation) if ablation.is_file() else None,
        truth=(truth.read_bytes(), Path(os.path.relpath(truth, directory)).as_posix())
        if truth.is_file()
        else None,
        findings=read_checks(directory).get("findings"),
    )
    write_report(report, directory)


def comparison_report(
    facts, found, patients, data, *, split, failures, pages, ablation, truth=None, findings=None
) -> Report:
    """The report as blocks.

    Args:
        facts, found, data, split: as for `write_comparison_report`.
        patients: as patients.csv holds them, by the keys of `found`, without those that failed.
        failures: sentence by name of a trial.
        pages: see `pages_section`.
        ablation: content of ablation.json, or None.
        truth: content of truth.png and its place relative to the report, or None.
        findings: content of findings.json, or None.
    """
    config = facts.config
    trials = trial_table(found, split)
    table = protocol_table(trials, confidence=config.evaluate.confidence) if config.has_tables else None
    chosen, swept = {}, config.sweep is not None and split == "test"
    if swept:
        trade_off = trade_off_table(config, trial_table(found, "validation"))
        chosen = largest_weights(trade_off, config.sweep.tolerance)
    arms = arms_told(config, chosen)
    first = next(metrics for metrics in found.values() if metrics)
    with report_style():
        overview = overview_section(config, trials, table, failures, found, split)
        overview.blocks.extend(findings_blocks(findings))
        sections = [
            overview,
            comparison_question_section(config),
            data_section(config, data, first, facts.environment["data"]),
            arms_section(config, trials, table, found, split),
        ]
        if swept:
            sections.append(trade_off_section(config, trade_off, chosen, table))
        if truth is not None:
            sections.append(truth_section(*truth))
        sections.append(arms_roc_section(patients, split, arms))
        if ablation is not None:
            sections.append(ablation_section(ablation))
        sections += [models_section(config, found, arms, split), pages_section(pages)]
    sections += closing_sections(config, facts.environment, data["fingerprint"], facts.command)
    return Report(
        f"Feature gradient flow: {config.run.name}",
        f"A comparison of {len(config.arms)} arms. {split.capitalize()} patients.",
        sections,
    )


def _pages(config, folder, whole, where):
    """Pages of patients of a training of the first and of the last arm, see `pages_section`."""
    pages, first = {}, {}
    for (_, arm), trial in whole.items():
        first.setdefault(arm, trial)
    trials = list(first.values())
    # Not of all: they are large.
    for trial in trials if len(trials) < 3 else (trials[0], trials[-1]):
        for support in config.evaluate.support:
            file = trial.folder(folder).path / where / f"patients_{support}.png"
            if file.is_file():
                relative = Path("..", trial.name, where, file.name).as_posix()
                pages[trial.name, support] = relative, file.read_bytes()
    return pages
