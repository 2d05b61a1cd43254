"""The commands: `fgf train` and `fgf evaluate`, also as train.py and evaluate.py, and those about data."""

import os
import sys
from pathlib import Path
from typing import Annotated

# Before TensorFlow is imported: its banners about instruction sets help nobody here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import typer

from fgf_keras import cli_data
from fgf_keras._backend import import_tensorflow
from fgf_keras.config import Config, load_config
from fgf_keras.config_data import PREPARED_FROM
from fgf_keras.console import console, reported
from fgf_keras.errors import ConfigError, RunError
from fgf_keras.protocol import alone_in, run_trials
from fgf_keras.run_folder import RunFolder, read_json, write_json
from fgf_keras.trial import trials_of

app = typer.Typer(
    help="Feature gradient flow: measure and train image classifiers by features a human can name.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@app.command()
@reported
def train(
    config: Annotated[str | None, typer.Option(help="YAML file, e.g. configs/phantom.yaml.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, e.g. train.epochs=3")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Folder of a comparison or sweep that was stopped: go on with it.")
    ] = None,
):
    """Train, evaluate and export a model, or several arms of a comparison, into a run folder."""
    if resume is not None:
        _resume(resume, config, overrides)
        return
    read = load_config(_required(config), overrides or ())
    for section in ("sweep", "truth"):
        if getattr(read, section) is not None:
            raise ConfigError(
                f"{config} has a section {section}: start it with fgf {section} --config {config}."
            )
    folder = run_training(read)
    console.print(f"Run folder: {folder.path}", soft_wrap=True)


@app.command()
@reported
def truth(
    config: Annotated[str | None, typer.Option(help="YAML file, e.g. configs/truth.yaml.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key.sub=value, e.g. protocol.repeats=3")
    ] = None,
    resume: Annotated[str | None, typer.Option(help="Folder of such a run that was stopped: go on.")] = None,
):
    """Train on phantoms whose label follows a known law, and tell whether S, F and the nulls find it."""
    _grid("truth", config, overrides, resume)


@app.command()
@reported
def sweep(
    config: Annotated[str | None, typer.Option(help="YAML file, e.g. configs/sweep.yaml.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, e.g. sweep.points=9")] = None,
    resume: Annotated[str | None, typer.Option(help="Folder of a sweep that was stopped: go on.")] = None,
):
    """Train a grid of reward weights, and choose the largest that does not cost accuracy on validation."""
    _grid("sweep", config, overrides, resume)


def _grid(section, config, overrides, resume):
    """What a command does whose arms come from a section of the configuration."""
    if resume is not None:
        _resume(resume, config, overrides)
        return
    read = load_config(_required(config), overrides or ())
    if getattr(read, section) is None:
        raise ConfigError(f"{config} has no section {section}; see configs/{section}.yaml.")
    folder = run_training(read)
    console.print(f"Run folder: {folder.path}", soft_wrap=True)


def _required(config):
    if config is None:
        raise ConfigError("Give --config a YAML file, or --resume a folder of a stopped comparison.")
    return config


def _resume(resume, config, overrides):
    if config is not None or overrides:
        raise ConfigError("--resume goes on with the configuration in the folder: no --config, no overrides.")
    console.print(f"Run folder: {resume_training(resume).path}", soft_wrap=True)


@app.command()
@reported
def evaluate(
    run: Annotated[str, typer.Option(help="Run folder, e.g. runs/phantom/latest.")],
    config: Annotated[
        str | None, typer.Option(help="YAML file of another cohort, for external validation.")
    ] = None,
    sanity: Annotated[
        bool, typer.Option("--sanity", help="Also with random weights, and trained on permuted labels.")
    ] = False,
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value for --config")] = None,
):
    """Evaluate a finished run again, or its model on a cohort that it never saw."""
    if sanity and config is not None:
        raise ConfigError(
            "--sanity trains the run's network again on the run's own cohort: give it without --config."
        )
    if overrides and config is None:
        raise ConfigError(
            f"Overrides {overrides} change the configuration of another cohort, so they need --config. "
            "A finished run is evaluated as it was configured."
        )
    folder = RunFolder.open(run)
    external = load_config(config, overrides or ()) if config else None
    written = run_evaluation(folder, external, name=Path(config).stem if config else None, sanity=sanity)
    console.print(f"Written: {written}")


app.command()(cli_data.prepare)
app.command()(cli_data.preview)
app.command()(cli_data.phantom)
app.command(name="inspect")(cli_data.inspect_dicom)


def run_training(config: Config) -> RunFolder:
    """Everything that `train.py` does. Data and splits are checked before a folder is made."""
    import_tensorflow()
    data = _prepared(config)
    folder = RunFolder.create_now(config.run_dir, config)
    with alone_in(folder):
        return _trained(config, folder, data)


def resume_training(path) -> RunFolder:
    """Go on with a comparison or a sweep that was stopped: finished trials stay, others begin anew.

    Raises:
        RunError: there is nothing to resume, another process is at it, or the data has changed since.
    """
    folder = RunFolder.open_unfinished(path)
    with alone_in(folder):
        config = folder.load_config()
        import_tensorflow()
        data = _prepared(config)
        cohort, _ = next(iter(data.values()))
        known = folder.path / "environment.json"
        if known.is_file() and read_json(known)["data"]["fingerprint"] != cohort.fingerprint():
            raise RunError(
                f"The data under {config.data.root or config.data.source} is not what {path} was begun with: "
                "its fingerprint has changed. Restore it, or train again."
            )
        return _trained(config, folder, data)


def _prepared(config):
    """Cohort and splits of each trial by its name; what cannot be done stops here."""
    from fgf_keras.data.preparation import describe_left_out
    from fgf_keras.training.build import build_features, build_model
    from fgf_keras.training.feature_check import check_features
    from fgf_keras.training.fit import configure_compute
    from fgf_keras.trial_data import trial_data

    configure_compute(config.compute)
    data = trial_data(config)
    cohort, first = next(iter(data.values()))
    if config.data.source in PREPARED_FROM:
        told = describe_left_out(cohort.provenance["counts"]["left_out"])
        left_out = f"; left out: {told}, see rejected.csv there" if told else ""
        console.print(f"Prepared slices: {config.data.out}{left_out}", soft_wrap=True, highlight=False)
    check_features(build_features(config.features), cohort)
    # What cannot be built stops here, not after the first arm. Under all laws it is the same network.
    arms = trials_of(config)[: 1 if config.truth is not None else len(config.arms)]
    for each in [trial.config(config) for trial in arms] or [config]:
        build_model(each, cohort.images.shape[1:], cohort.class_count)
    splits = len(config.protocol.split_names)
    many = f"; {splits} such splits" if splits > 1 else ""
    if config.truth is not None:
        many = f"; the first of {len(data)} trials, each with its own labels"
    console.print(
        f"{len(cohort)} patients, {int(cohort.labels.sum())} positive: "
        + ", ".join(f"{name} {len(rows)} ({int(cohort.labels[rows].sum())})" for name, rows in first.items())
        + many
    )
    return data


def _trained(config, folder, data):
    from fgf_keras.data.splits import save_splits
    from fgf_keras.run_trial import train_and_evaluate
    from fgf_keras.training.environment import environment

    cohort, first = next(iter(data.values()))
    surroundings = environment(config, cohort, first)
    write_json(folder.path / "environment.json", surroundings)
    if not config.arms:
        name = config.run.name
        facts = _facts(config, folder)
        metrics = train_and_evaluate(config, cohort, first, folder, title=name, arm=name, facts=facts)
        _compare({name: metrics}, "test", folder.path)
        _show_checks(folder.evaluation)
        folder.finish(latest=True)
        return folder
    # Under other laws of the labels, each trial has splits of its own.
    shared = {trial.split: data[trial.name] for trial in trials_of(config)} if config.truth is None else {}
    for name, (_, rows) in shared.items():
        save_splits(RunFolder(folder.path / name).splits_file, cohort, rows)
    run_trials(config, folder, data)
    found = {}
    for trial in trials_of(config):
        own = trial.folder(folder)
        failed = own.failure_file.is_file()
        found[trial.split, trial.arm.name] = None if failed else read_json(own.metrics_file)
        if failed:
            console.print(f"Failed: {trial.name}: {read_json(own.failure_file)['error']}", soft_wrap=True)
    if not any(found.values()):
        raise RunError(f"Every trial in {folder.path} failed, the last as told above.")
    _tabulate(config, folder, found, split="test", where="evaluation", directory=folder.path)
    _report(config, folder, found, surroundings["data"], split="test", where="evaluation", tables=folder.path)
    folder.finish(latest=True)
    return folder


def run_evaluation(
    folder: RunFolder, external: Config | None = None, *, name: str | None = None, sanity: bool = False
):
    """Everything that `evaluate.py` does; returns the folder that the results are in.

    Args:
        folder: a finished run.
        external: configuration of another cohort.
        name: of that cohort, part of the folder's name.
        sanity: also write sanity.json; for a single run on its own cohort.

    Raises:
        RunError: sanity checks of a comparison, and whatever a run or its data cannot give.
    """
    import_tensorflow()
    from fgf_keras.evaluation.evaluate_run import evaluate_run
    from fgf_keras.training.fit import configure_compute

    config = folder.load_config()
    if sanity and config.arms:
        raise RunError(
            f"{folder.path} is a comparison, and --sanity takes a single run. Give one of its own, e.g. "
            f"--run {trials_of(config)[0].folder(folder).path}."
        )
    configure_compute(config.compute)
    where, split = (f"evaluation-{name}", "external") if external else ("evaluation", "test")
    if not config.arms:
        if sanity:
            _check_sanity(folder)
        evaluation = evaluate_run(folder, external=external, title=f"Evaluating {folder.path.name}")
        evaluation.write(folder.path / where, facts=_facts(config, folder))
        _compare({config.run.name: evaluation.metrics}, split, folder.path / where)
        _show_checks(folder.path / where)
        return folder.path / where
    if external and config.truth is not None:
        raise RunError(
            f"{folder.path} holds phantoms under laws that are known, which another cohort has not. "
            "Leave --config away, or give --run one of its trials."
        )
    found = {}
    for trial in trials_of(config):
        own = trial.folder(folder)
        if own.failure_file.is_file():
            found[trial.split, trial.arm.name] = None
            continue
        evaluation = evaluate_run(own, external=external, title=f"Evaluating {trial.name}")
        evaluation.write(own.path / where)
        found[trial.split, trial.arm.name] = evaluation.metrics
        data = evaluation.data
    _tabulate(config, folder, found, split=split, where=where, directory=folder.path / where)
    _report(config, folder, found, data, split=split, where=where, tables=folder.path / where)
    return folder.path / where


def _facts(config, folder):
    from fgf_keras.evaluation.report import RunFacts
    from fgf_keras.evaluation.report_text import command_line

    return RunFacts(config, read_json(folder.path / "environment.json"), command_line(sys.argv))


def _report(config, folder, found, data, *, split, where, tables):
    from fgf_keras.evaluation.comparison_report import write_comparison_report

    facts = _facts(config, folder)
    write_comparison_report(facts, found, folder, data, split=split, where=where, tables=tables)


def _tabulate(config, folder, found, *, split, where, directory):
    """Print what a comparison found, {(name of the split, arm): metrics}, and write it into `directory`.

    `where` is the folder inside each trial's with its table of patients.
    """
    if config.truth is not None:
        from fgf_keras.evaluation.truth_report import report_truth

        tables = _patients_files(config, folder, where)
        console.print(report_truth(config, found, tables, directory))
        return
    if not config.has_tables:
        _compare({arm: metrics for (_, arm), metrics in found.items()}, split, directory)
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


def _compare(metrics, split, directory):
    from fgf_keras.evaluation.comparison import comparison_markdown, comparison_table

    console.print(comparison_table(metrics, split))
    directory.mkdir(exist_ok=True)
    write_json(directory / "comparison.json", metrics)
    (directory / "comparison.md").write_text(comparison_markdown(metrics, split))


def _check_sanity(folder):
    from fgf_keras.evaluation.sanity import sanity_terminal
    from fgf_keras.run_sanity import run_sanity

    report = run_sanity(folder, title=f"Sanity of {folder.path.name}")
    write_json(folder.evaluation / "sanity.json", report)
    console.print(sanity_terminal(report))


def _show_checks(directory):
    """Print what was found beside the figures of a single run."""
    from fgf_keras.evaluation.behaviour_table import behaviour_terminal
    from fgf_keras.evaluation.findings import findings_terminal

    behaviour = directory / "behaviour.json"
    if behaviour.is_file():
        console.print(behaviour_terminal(read_json(behaviour)))
    console.print(findings_terminal(read_json(directory / "findings.json")["findings"]))


def main():
    """Entry point of `fgf`."""
    app()


def main_of(command):
    """Entry point of a script that is one command."""
    sys.exit(typer.run(command))
