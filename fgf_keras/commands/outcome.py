"""Reading the results of a run or a comparison, and writing and printing its tables and its report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgf_keras.commands.provenance import provenance_of
from fgf_keras.config import Config
from fgf_keras.config.protocol import SweepConfig
from fgf_keras.data.phantom.oracle import oracle_auc
from fgf_keras.errors import RunError
from fgf_keras.files import read_json, write_json
from fgf_keras.pictures.files import read_pictures
from fgf_keras.progress import console
from fgf_keras.report.comparison import arms_table, comparison_report, comparison_summary
from fgf_keras.report.markdown import blocks_as_markdown
from fgf_keras.report.run import run_report, run_summary
from fgf_keras.report.sections.protocol import protocol_blocks
from fgf_keras.report.sections.side_by_side import side_by_side_table
from fgf_keras.report.sections.trade_off import trade_off_plot
from fgf_keras.report.sections.truth import titled_truth_plot, truth_tables
from fgf_keras.report.terminal import as_terminal
from fgf_keras.report.write import write_report
from fgf_keras.results.metrics import Key, RunMetrics
from fgf_keras.results.patients import read_patients
from fgf_keras.results.protocol import as_records
from fgf_keras.results.run import RunResult
from fgf_keras.results.study import Study
from fgf_keras.run.folder import RunFolder
from fgf_keras.run.trial import Trial, trials_of

if TYPE_CHECKING:
    import pandas as pd


def read_run(folder: RunFolder, where: str) -> RunResult:
    """Read the results of the evaluation of a single network.

    Args:
        folder: of the run.
        where: name of the folder of the evaluation in it.
    """
    directory = folder.path / where
    metrics = RunMetrics.of(read_json(directory / "metrics.json"))
    findings = _json(directory / "findings.json")
    supports = list(metrics.parts.values())[-1].supports
    pages = {support: directory / f"patients_{support}.png" for support in supports}
    return RunResult(
        metrics,
        read_patients(directory / "patients.csv"),
        _data(folder, directory),
        findings=findings and findings["findings"],
        behaviour=_json(directory / "behaviour.json"),
        controls=_json(directory / "controls.json"),
        collapse=_json(directory / "collapse.json"),
        sanity=_json(directory / "sanity.json"),
        shown=read_pictures(directory),
        pages={support: page.read_bytes() for support, page in pages.items() if page.is_file()},
    )


def read_study(config: Config, folder: RunFolder, *, part: str, where: str) -> Study:
    """Read the results of the trials of a comparison.

    Args:
        config: of the comparison.
        folder: of the comparison.
        part: which part of the patients is reported: "test" or "external".
        where: name of the folder of the evaluation in the folder of each trial.
    """
    metrics: dict[Key, RunMetrics | None] = {}
    patients, behaviour, failures, oracle = {}, {}, {}, {}
    for trial in trials_of(config):
        key, trial_folder = (trial.split, trial.arm.name), trial.folder(folder)
        if trial_folder.failure_file.is_file():
            metrics[key], failures[trial.name] = None, read_json(trial_folder.failure_file)["error"]
            continue
        directory = trial_folder.path / where
        metrics[key] = RunMetrics.of(read_json(directory / "metrics.json"))
        patients[key] = read_patients(directory / "patients.csv")
        if content := _json(directory / "behaviour.json"):
            behaviour[key] = content
        if config.truth is not None:
            rows, trial_config = patients[key][patients[key]["split"] == "test"], trial.config(config)
            oracle[key] = oracle_auc(trial_config.data.phantom, trial_config.phantom_seed, rows)
    return Study(config, part, metrics, patients, behaviour, failures, oracle)


def finish_run(name: str, result: RunResult, tables: Path) -> None:
    """Write comparison.json and comparison.md of a single network, and print a summary.

    Args:
        name: of the run.
        result: of the evaluation.
        tables: folder to write to.
    """
    write_json(tables / "comparison.json", {name: result.metrics.content})
    table = side_by_side_table({name: result.part}, f"{result.part.name} split")
    (tables / "comparison.md").write_text(blocks_as_markdown([table]), encoding="utf-8")
    console.print(as_terminal(run_summary(name, result)))


def finish_comparison(
    config: Config, folder: RunFolder, data: dict[str, Any], *, part: str, where: str, tables: Path
) -> None:
    """Write the tables and the report of a comparison, and print a summary.

    Args:
        config: of the comparison.
        folder: of the comparison.
        data: description of the patients, see `Cohort.description`.
        part: which part of the patients is reported: "test" or "external".
        where: name of the folder of the evaluation, in the folder of each trial and, for the report, in that
            of the comparison.
        tables: folder to write the tables to.

    Raises:
        RunError: every trial failed.
    """
    study = read_study(config, folder, part=part, where=where)
    for name, error in study.failures.items():
        console.print(f"Failed: {name}: {error}", soft_wrap=True, highlight=False)
    if not study.patients:
        raise RunError(f"Every trial in {folder.path} failed, the last as reported above.")
    directory = folder.path / where
    for path in (directory, tables):
        path.mkdir(exist_ok=True)
    write_json(directory / "data.json", data)
    write_tables(study, tables)
    if study.findings is not None:
        write_json(directory / "findings.json", {"findings": study.findings})
    write_comparison_report(folder, study, data, where=where)
    console.print(as_terminal(comparison_summary(study)))


def write_comparison_report(folder: RunFolder, study: Study, data: dict[str, Any], *, where: str) -> None:
    """Write report.html, report.md and report_figures/ to the folder `where` of a comparison."""
    provenance = provenance_of(study.config, folder)
    pages = _pages(study, folder, where)
    write_report(comparison_report(provenance, study, data, pages), folder.path / where)


def report_again(folder: RunFolder) -> list[Path]:
    """Rewrite every report and table of a finished run, comparison or sweep from its files.

    Args:
        folder: of the run; each folder `evaluation` and `evaluation-<cohort>` in it has a report.

    Returns:
        The paths of the reports.

    Raises:
        RunError: a required file is missing.
    """
    config, reports = folder.load_config(), []
    for directory in [folder.evaluation, *sorted(folder.path.glob("evaluation-*"))]:
        where = directory.name
        part, tables = ("test", folder.path) if directory == folder.evaluation else ("external", directory)
        if not config.arms:
            result = read_run(folder, where)
            write_report(run_report(provenance_of(config, folder), result), directory)
            finish_run(config.run.name, result, tables)
        else:
            finish_comparison(config, folder, _data(folder, directory), part=part, where=where, tables=tables)
        reports.append(directory / "report.html")
    return reports


def write_tables(study: Study, directory: Path) -> None:
    """Write the results of a comparison as CSV, JSON and Markdown.

    For arms on one split: comparison.json and .md; otherwise trials.csv and protocol.csv, .json and .md. With
    an ablation also ablation.csv and .json, for a sweep also sweep.csv, .json and .png. Under known laws
    only truth.csv, .json, .md and .png.

    Args:
        study: the comparison.
        directory: an existing folder.
    """
    if study.truth is not None:
        _write_truth(study, study.truth, directory)
        return
    if study.protocol.empty:
        contents = {arm: metrics.content for (_, arm), metrics in study.metrics.items() if metrics}
        write_json(directory / "comparison.json", contents)
        (directory / "comparison.md").write_text(blocks_as_markdown([arms_table(study)]), encoding="utf-8")
    else:
        _write_protocol(study, directory)
    if study.ablation is not None:
        study.ablation.to_csv(directory / "ablation.csv", index=False)
        content = {"arm": study.ablated, "split": study.part, "features": as_records(study.ablation)}
        write_json(directory / "ablation.json", content)
    if study.trade_off is not None and study.config.sweep is not None:
        _write_sweep(study, study.trade_off, study.config.sweep, directory)


def _write_protocol(study: Study, directory: Path) -> None:
    study.trials.to_csv(directory / "trials.csv", index=False)
    study.protocol.to_csv(directory / "protocol.csv", index=False)
    (directory / "protocol.md").write_text(blocks_as_markdown(protocol_blocks(study)), encoding="utf-8")
    content = {
        "split": study.part,
        "arms": list(dict.fromkeys(study.trials["arm"])),
        "splits": list(dict.fromkeys(study.trials["repeat"])),
        "n_train": float(study.trials["n_train"].mean()),
        "n_test": float(study.trials["n_test"].mean()),
        "failed": _failed(study),
        "confidence": study.config.evaluate.confidence,
        "p_values": "one by one, not corrected for the number of figures and arms",
        "figures": as_records(study.protocol),
    }
    write_json(directory / "protocol.json", content)


def _write_sweep(study: Study, trade_off: "pd.DataFrame", sweep: SweepConfig, directory: Path) -> None:
    table = trade_off.copy()
    table["chosen"] = table["arm"].isin([arm for arm in study.chosen.values() if arm])
    table.to_csv(directory / "sweep.csv", index=False)
    of_arm: dict[str | None, list[dict[str, Any]]] = {
        arm: as_records(study.protocol[study.protocol["arm"] == arm]) for arm in study.arms
    }
    support = study.config.evaluate.support[0]
    content = {
        "chosen_on": "validation",
        "tolerance": sweep.tolerance,
        "support": support,
        "chosen": study.chosen,
        "trade_off": as_records(table),
        "test": {kind: of_arm.get(arm) for kind, arm in study.chosen.items()},
    }
    write_json(directory / "sweep.json", content)
    trade_off_plot(table, support).savefig(directory / "sweep.png", dpi=150)


def _write_truth(study: Study, table: "pd.DataFrame", directory: Path) -> None:
    table.to_csv(directory / "truth.csv", index=False)
    content = {
        "support": study.config.evaluate.support[0],
        "alpha": study.config.evaluate.alpha,
        "confidence": study.config.evaluate.confidence,
        "failed": _failed(study),
        "recovery": as_records(study.recovery),
        "rates": as_records(study.rates),
        "trials": as_records(table),
    }
    write_json(directory / "truth.json", content)
    (directory / "truth.md").write_text(blocks_as_markdown(truth_tables(study)), encoding="utf-8")
    titled_truth_plot(table).savefig(directory / "truth.png", dpi=150)


def _failed(study: Study) -> list[list[str]]:
    return [list(key) for key, metrics in study.metrics.items() if metrics is None]


def _pages(study: Study, folder: RunFolder, where: str) -> dict[tuple[str, str], tuple[str, bytes]]:
    """Pages of patients of one network of some arms, see `networks.pages_section`."""
    pages: dict[tuple[str, str], tuple[str, bytes]] = {}
    first: dict[str, Trial] = {}
    for trial in trials_of(study.config):
        if study.metrics[trial.split, trial.arm.name]:
            first.setdefault(trial.arm.name, trial)
    trials = list(first.values())
    # Of more than two arms only the first and the last, because the pages are large.
    for trial in trials if len(trials) < 3 else (trials[0], trials[-1]):
        for support in study.config.evaluate.support:
            file = trial.folder(folder).path / where / f"patients_{support}.png"
            if file.is_file():
                relative = Path("..", trial.name, where, file.name).as_posix()
                pages[trial.name, support] = relative, file.read_bytes()
    return pages


def _json(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _data(folder: RunFolder, directory: Path) -> dict[str, Any]:
    """Description of the measured cohort; version 0.1 wrote it only for the run's own cohort."""
    content = _json(directory / "data.json")
    return content or read_json(folder.environment_file)["data"]
