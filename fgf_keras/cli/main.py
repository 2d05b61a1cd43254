"""The command `fgf`: subcommands for training and evaluation, which train.py and evaluate.py use as well."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

# Set before TensorFlow is imported: its banners about instruction sets are of no use here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import typer

from fgf_keras.cli import data as cli_data
from fgf_keras.cli import serving as cli_serving
from fgf_keras.cli.errors import reported
from fgf_keras.config import Config, load_config
from fgf_keras.errors import ConfigError
from fgf_keras.progress import console
from fgf_keras.run.folder import RunFolder

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
        str | None, typer.Option(help="Folder of a comparison or sweep that was stopped: continue it.")
    ] = None,
) -> None:
    """Train, evaluate and export a model, or the arms of a comparison, and write a run folder."""
    if resume is not None:
        _resume(resume, config, overrides)
        return
    settings = load_config(_required(config), overrides or ())
    for group in ("sweep", "truth"):
        if getattr(settings, group) is not None:
            raise ConfigError(f"{config} has a group {group}: start it with fgf {group} --config {config}.")
    folder = _run_training(settings)
    console.print(f"Run folder: {folder.path}", soft_wrap=True)


@app.command()
@reported
def truth(
    config: Annotated[str | None, typer.Option(help="YAML file, e.g. configs/truth.yaml.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key.sub=value, e.g. protocol.repeats=3")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Folder of such a run that was stopped: continue it.")
    ] = None,
) -> None:
    """Train on phantoms whose labels follow a known law, and test whether S, F and the nulls recover it."""
    _grid("truth", config, overrides, resume)


@app.command()
@reported
def sweep(
    config: Annotated[str | None, typer.Option(help="YAML file, e.g. configs/sweep.yaml.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, e.g. sweep.points=9")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Folder of a sweep that was stopped: continue it.")
    ] = None,
) -> None:
    """Train with a grid of reward weights and choose the largest that costs no accuracy on validation."""
    _grid("sweep", config, overrides, resume)


def _grid(group: str, config: str | None, overrides: list[str] | None, resume: str | None) -> None:
    """Run a command whose arms come from a group of the configuration."""
    if resume is not None:
        _resume(resume, config, overrides)
        return
    settings = load_config(_required(config), overrides or ())
    if getattr(settings, group) is None:
        raise ConfigError(f"{config} has no group {group}; see configs/{group}.yaml.")
    folder = _run_training(settings)
    console.print(f"Run folder: {folder.path}", soft_wrap=True)


def _run_training(config: Config) -> RunFolder:
    # Imported here, so that help texts and configuration errors do not wait for pandas, SciPy and Matplotlib.
    from fgf_keras.commands.train import run_training

    return run_training(config)


def _required(config: str | None) -> str:
    if config is None:
        raise ConfigError("Give --config a YAML file, or --resume a folder of a stopped comparison.")
    return config


def _resume(resume: str, config: str | None, overrides: list[str] | None) -> None:
    if config is not None or overrides:
        raise ConfigError("--resume uses the configuration in the folder: give no --config and no overrides.")
    from fgf_keras.commands.train import resume_training

    console.print(f"Run folder: {resume_training(resume).path}", soft_wrap=True)


@app.command()
@reported
def evaluate(
    run: Annotated[str, typer.Option(help="Run folder, e.g. runs/phantom/latest.")],
    config: Annotated[
        str | None, typer.Option(help="YAML file of another cohort, for external validation.")
    ] = None,
    sanity: Annotated[
        bool,
        typer.Option(
            "--sanity", help="Also measure random networks and networks trained on permuted labels."
        ),
    ] = False,
    permutations: Annotated[
        int | None, typer.Option(min=1, help="For --sanity: number of trainings on permuted labels.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value for --config")] = None,
) -> None:
    """Evaluate a finished run again, or evaluate its model on an external cohort."""
    if sanity and config is not None:
        raise ConfigError(
            "--sanity trains the run's network again on the run's own cohort: give it without --config."
        )
    if permutations is not None and not sanity:
        raise ConfigError("--permutations counts trainings of --sanity: give both.")
    if overrides and config is None:
        raise ConfigError(
            f"Overrides {overrides} change the configuration of another cohort, so they need --config. "
            "A finished run is evaluated as it was configured."
        )
    folder = RunFolder.open(run)
    external = load_config(config, overrides or ()) if config else None
    name = Path(config).stem if config else None
    from fgf_keras.commands.evaluate import run_evaluation

    directory = run_evaluation(folder, external, name=name, sanity=sanity, permutations=permutations)
    console.print(f"Written: {directory}")


@app.command()
@reported
def report(
    run: Annotated[str, typer.Option(help="Run folder, e.g. runs/phantom/latest.")],
) -> None:
    """Rewrite the reports and tables of a finished run from its files, without TensorFlow."""
    from fgf_keras.commands.outcome import report_again

    for path in report_again(RunFolder.open(run)):
        console.print(f"Written: {path}", soft_wrap=True)


app.command()(cli_data.prepare)
app.command()(cli_data.preview)
app.command()(cli_data.phantom)
app.command(name="inspect")(cli_data.inspect_dicom)
app.command()(cli_serving.export)
app.command()(cli_serving.explain)
app.command(name="bench-serving")(cli_serving.bench_serving)


def main() -> None:
    """Entry point of `fgf`."""
    app()


def main_of(command: Callable[..., Any]) -> NoReturn:
    """Entry point of a script that consists of one command."""
    typer.run(command)
    sys.exit()
