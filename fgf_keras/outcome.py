"""What runs came to: printed, tabulated and reported."""

import sys
from pathlib import Path

from fgf_keras.config import Config
from fgf_keras.console import console
from fgf_keras.run_folder import RunFolder, read_json, write_json
from fgf_keras.trial import trials_of


def facts_of(config: Config, folder: RunFolder):
    """What a report says of how a run was made."""
    from fgf_keras.evaluation.report import RunFacts
    from fgf_keras.evaluation.report_text import command_line

    return RunFacts(config, read_json(folder.environment_file), command_line(sys.argv))


def show_comparison(
    config: Config, folder: RunFolder, found: dict, data: dict, *, split: str, where: str, directory: Path
) -> None:
    """Print what a comparison found, and write its tables and its report.

    Args:
        config: of the comparison.
        folder: of the comparison.
        found: metrics by (name of the split, arm); None where the trial failed.
        data: description of the patients, see `Cohort.description`.
        split: which part of each: "test", or "external".
        where: folder inside each trial's, and inside the comparison's for the report.
        directory: that tables are written into.
    """
    from fgf_keras.evaluation.comparison_report import write_comparison_report

    _tabulate(config, folder, found, split=split, where=where, directory=directory)
    facts = facts_of(config, folder)
    write_comparison_report(facts, found, folder, data, split=split, where=where, tables=directory)


def _tabulate(config, folder, found, *, split, where, directory):
    if config.truth is not None:
        from fgf_keras.evaluation.truth_report import report_truth

        tables = _patients_files(config, folder, where)
        console.print(report_truth(config, found, tables, directory))
        return
    if not config.has_tables:
        compare({arm: metrics for (_, arm), metrics in found.items()}, split, directory)
    else:
        from fgf_keras.evaluation.protocol_report import report_protocol

        console.print(report_protocol(config, found, split, directory))
    if config.protocol.ablation:
        from fgf_keras.evaluation.protocol_report import report_ablation

        tables = _patients_files(config, folder, where)
        console.print(report_ablation(config, found, tables, split, directory))
    if config.sweep is not None and split == "test":
        from fgf_keras.evaluation.sweep_report import report_sweep

        console.print(report_sweep(config, found, directory))
    from fgf_keras.evaluation.findings import report_comparison_findings

    console.print(report_comparison_findings(config, found, folder, where, split))


def _patients_files(config, folder, where):
    """Each trial's table of patients, by (name of the split, arm)."""
    return {
        (trial.split, trial.arm.name): trial.folder(folder).path / where / "patients.csv"
        for trial in trials_of(config)
    }


def compare(metrics: dict, split: str, directory: Path) -> None:
    """Print runs side by side, metrics by name, and write comparison.json and .md into a folder."""
    from fgf_keras.evaluation.comparison import comparison_markdown, comparison_table

    console.print(comparison_table(metrics, split))
    directory.mkdir(exist_ok=True)
    write_json(directory / "comparison.json", metrics)
    (directory / "comparison.md").write_text(comparison_markdown(metrics, split), encoding="utf-8")


def show_checks(directory: Path) -> None:
    """Print what was found beside the figures of a single run."""
    from fgf_keras.evaluation.behaviour_table import behaviour_terminal
    from fgf_keras.evaluation.findings import findings_terminal

    behaviour = directory / "behaviour.json"
    if behaviour.is_file():
        console.print(behaviour_terminal(read_json(behaviour)))
    console.print(findings_terminal(read_json(directory / "findings.json")["findings"]))
