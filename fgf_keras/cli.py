"""The commands: `fgf train` and `fgf evaluate`, also as train.py and evaluate.py, and those about data."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

# Before TensorFlow is imported: its banners about instruction sets help nobody here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import typer

from fgf_keras import cli_data
from fgf_keras._backend import require_tensorflow_backend
from fgf_keras.config import Config, ProtocolConfig, load_config
from fgf_keras.config_data import PREPARED_FROM
from fgf_keras.console import console, reported
from fgf_keras.errors import ConfigError
from fgf_keras.run_folder import RunFolder, write_json

app = typer.Typer(
    help="Feature gradient flow: measure and train image classifiers by features a human can name.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@app.command()
@reported
def train(
    config: Annotated[str, typer.Option(help="YAML file, e.g. configs/phantom.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, e.g. train.epochs=3")] = None,
):
    """Train, evaluate and export a model, or several arms of a comparison, into a run folder."""
    folder = run_training(load_config(config, overrides or ()))
    console.print(f"Run folder: {folder.path}")


@app.command()
@reported
def evaluate(
    run: Annotated[str, typer.Option(help="Run folder, e.g. runs/phantom/latest.")],
    config: Annotated[
        str | None, typer.Option(help="YAML file of another cohort, for external validation.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value for --config")] = None,
):
    """Evaluate a finished run again, or its model on a cohort that it never saw."""
    if overrides and config is None:
        raise ConfigError(
            f"Overrides {overrides} change the configuration of another cohort, so they need --config. "
            "A finished run is evaluated as it was configured."
        )
    folder = RunFolder.open(run)
    external = load_config(config, overrides or ()) if config else None
    written = run_evaluation(folder, external, name=Path(config).stem if config else None)
    console.print(f"Written: {written}")


app.command()(cli_data.prepare)
app.command()(cli_data.preview)
app.command()(cli_data.phantom)
app.command(name="inspect")(cli_data.inspect_dicom)


def _import_tensorflow():
    """Import TensorFlow without its banners about absent CUDA drivers, which no log level silences.

    They are written by native code straight to file descriptor 2; what is caught there is shown if the import
    fails.

    Raises:
        BackendError: Keras is configured for another backend.
    """
    require_tensorflow_backend()
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            caught.seek(0)
            os.write(kept, caught.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def run_training(config: Config) -> RunFolder:
    """Everything that `train.py` does. Data and splits are checked before a folder is made."""
    _import_tensorflow()
    from fgf_keras.data.load import load_cohort
    from fgf_keras.data.preparation import describe_left_out
    from fgf_keras.data.splits import save_splits, stratified_splits
    from fgf_keras.training.build import build_model
    from fgf_keras.training.environment import environment
    from fgf_keras.training.fit import configure_compute

    configure_compute(config.compute)
    cohort = load_cohort(config)
    if config.data.source in PREPARED_FROM:
        told = describe_left_out(cohort.provenance["counts"]["left_out"])
        left_out = f"; left out: {told}, see rejected.csv there" if told else ""
        console.print(f"Prepared slices: {config.data.out}{left_out}", soft_wrap=True, highlight=False)
    splits = stratified_splits(cohort, config.data.splits, seed=config.seed)
    # What cannot be built stops here, not after the first arm.
    build_model(config, cohort.images.shape[1:], cohort.class_count)
    console.print(
        f"{len(cohort)} patients, {int(cohort.labels.sum())} positive: "
        + ", ".join(f"{name} {len(rows)} ({int(cohort.labels[rows].sum())})" for name, rows in splits.items())
    )
    folder = RunFolder.create_now(config.run_dir, config)
    surroundings = environment(config, cohort, splits)
    write_json(folder.path / "environment.json", surroundings)
    if not config.protocol.arms:
        metrics = {config.run.name: _train_one(config, cohort, splits, folder, config.run.name)}
    else:
        save_splits(folder.splits_file, cohort, splits)
        metrics = {}
        for arm in config.protocol.arms:
            of_arm = config.model_copy(update={"reward": arm.reward, "protocol": ProtocolConfig()})
            arm_folder = RunFolder.create(folder.path / arm.name, of_arm)
            write_json(arm_folder.path / "environment.json", surroundings)
            metrics[arm.name] = _train_one(of_arm, cohort, splits, arm_folder, arm.name)
            arm_folder.finish(latest=False)
    _compare(metrics, "test", folder.path)
    folder.finish(latest=True)
    return folder


def _train_one(config, cohort, splits, folder, title):
    from fgf_keras.evaluation.evaluate import evaluate
    from fgf_keras.serving.export import export_saved_model
    from fgf_keras.training.fit import fit

    model = fit(config, cohort, splits, folder, title=f"Training {title}")
    evaluation = evaluate(
        model, cohort, splits, config.evaluate, seed=config.seed, title=f"Evaluating {title}"
    )
    evaluation.write(folder.evaluation)
    export_saved_model(model, folder.saved_model)
    write_json(folder.metrics_file, evaluation.metrics)
    return evaluation.metrics


def run_evaluation(folder: RunFolder, external: Config | None = None, *, name: str | None = None):
    """Everything that `evaluate.py` does; returns the folder that the results are in.

    Args:
        folder: a finished run.
        external: configuration of another cohort.
        name: of that cohort, part of the folder's name.
    """
    _import_tensorflow()
    from fgf_keras.evaluation.evaluate_run import evaluate_run
    from fgf_keras.training.fit import configure_compute

    configure_compute(folder.load_config().compute)
    where = f"evaluation-{name}" if external else "evaluation"
    metrics = {}
    for arm in folder.arms():
        evaluation = evaluate_run(arm, external=external, title=f"Evaluating {arm.path.name}")
        evaluation.write(arm.path / where)
        column = arm.path.name if arm is not folder else arm.load_config().run.name
        metrics[column] = evaluation.metrics
    _compare(metrics, "external" if external else "test", folder.path / where)
    return folder.path / where


def _compare(metrics, split, directory):
    from fgf_keras.evaluation.comparison import comparison_markdown, comparison_table

    console.print(comparison_table(metrics, split))
    directory.mkdir(exist_ok=True)
    write_json(directory / "comparison.json", metrics)
    (directory / "comparison.md").write_text(comparison_markdown(metrics, split))


def main():
    """Entry point of `fgf`."""
    app()


def main_of(command):
    """Entry point of a script that is one command."""
    sys.exit(typer.run(command))
