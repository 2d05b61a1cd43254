"""The commands: `fgf train` and `fgf evaluate`, also as train.py and evaluate.py, and those about data."""

import functools
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Annotated

# Before TensorFlow is imported: its banners about instruction sets help nobody here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import rich.console
import rich.markup
import typer

from fgf_keras.config import Config, ProtocolConfig, load_config
from fgf_keras.config_data import PREPARED_FROM
from fgf_keras.errors import ConfigError, DataError, FgfError
from fgf_keras.run_folder import RunFolder, write_json

app = typer.Typer(
    help="Feature gradient flow: measure and train image classifiers by features a human can name.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
_console = rich.console.Console()
_errors = rich.console.Console(stderr=True)


def _reported(command):
    """Print errors made on purpose as a message, not a traceback, and exit with 1."""

    @functools.wraps(command)
    def reported(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except FgfError as error:
            _errors.print(
                f"[bold red]{type(error).__name__}:[/] {rich.markup.escape(str(error))}",
                highlight=False,
                soft_wrap=True,
            )
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            _errors.print("Stopped. An unfinished run folder says so in its file UNFINISHED.")
            raise typer.Exit(130) from None

    return reported


@app.command()
@_reported
def train(
    config: Annotated[str, typer.Option(help="YAML file, e.g. configs/phantom.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, e.g. train.epochs=3")] = None,
):
    """Train, evaluate and export a model, or several arms of a comparison, into a run folder."""
    folder = run_training(load_config(config, overrides or ()))
    _console.print(f"Run folder: {folder.path}")


@app.command()
@_reported
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
    _console.print(f"Written: {written}")


@app.command()
@_reported
def prepare(
    config: Annotated[str, typer.Option(help="YAML file, e.g. configs/tcia.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, e.g. data.root=DIR")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; all cores where not given.")] = None,
):
    """Turn CT with RTSTRUCT or SEG, or NIfTI and NRRD, into prepared slices; only what is missing is done."""
    data = load_config(config, overrides or ()).data
    if data.source not in PREPARED_FROM:
        raise ConfigError(
            f"data.source: {data.source!r} needs no preparation; {' and '.join(PREPARED_FROM)} do."
        )
    from fgf_keras.data.prepare import prepare as prepare_slices

    done = prepare_slices(data, n_jobs=jobs or os.cpu_count() or 1)
    _console.print(done.summary(), highlight=False, soft_wrap=True)
    _console.print(
        f"Prepared slices: {done.folder}. To look at them: fgf preview {done.folder}", soft_wrap=True
    )


@app.command()
@_reported
def preview(
    folder: Annotated[str, typer.Argument(help="Folder of prepared slices.")],
    window: Annotated[
        tuple[float, float], typer.Option(help="Low and high end in HU, e.g. --window -50 300")
    ] = (-160, 240),
    out: Annotated[str | None, typer.Option(help="PNG to write; FOLDER/preview.png where not given.")] = None,
):
    """Draw prepared slices with the outline of the tumour on one page, to look at before training."""
    from fgf_keras.data.prepared import sheet_entries
    from fgf_keras.data.preview import contact_sheet
    from fgf_keras.data.store import SliceStore

    path = Path(out) if out else Path(folder) / "preview.png"
    if not path.parent.is_dir():
        raise DataError(
            f"The folder {str(path.parent)!r} does not exist. Let --out name a file in one that does."
        )
    sheet = contact_sheet(sheet_entries(SliceStore.reading(Path(folder))), window=window)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    sheet.save(unfinished, format="PNG")
    unfinished.replace(path)
    _console.print(f"Contact sheet: {path}", soft_wrap=True)


@app.command()
@_reported
def phantom(
    dicom: Annotated[str, typer.Option(help="Folder to write into: new, or empty.")],
    config: Annotated[str, typer.Option(help="YAML file.")] = "configs/phantom_dicom.yaml",
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key.sub=value, e.g. data.phantom.patients=50")
    ] = None,
    slices: Annotated[int, typer.Option(min=5, help="CT slices of a patient.")] = 7,
    slice_mm: Annotated[float, typer.Option(min=0.1, help="mm between slices.")] = 3.0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; all cores where not given.")] = None,
):
    """Write the synthetic cohort as CT, RTSTRUCT, SEG and tables: to try DICOM without a download."""
    settings = load_config(config, overrides or ())
    data = settings.data
    if data.source != "dicom":
        raise ConfigError(
            f"data.source: {data.source!r} does not read DICOM, so it could not read what is written. "
            "Take configs/phantom_dicom.yaml, or one like it."
        )
    from fgf_keras.data.phantom_dicom import write_phantom_dicom

    written = write_phantom_dicom(
        Path(dicom),
        data.phantom,
        size=data.size,
        spacing=data.spacing,
        seed=settings.seed,
        slices=slices,
        slice_mm=slice_mm,
        n_jobs=jobs or os.cpu_count() or 1,
    )
    same = [key for key in overrides or () if not key.startswith("data.root=")]
    if Path(dicom) != Path(data.root):
        same.append(f"data.root={dicom}")
    following = shlex.join(["fgf", "prepare", "--config", config, *same])
    _console.print(
        f"{written.summary()} Folder: {dicom}\nNext: {following}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@app.command(name="inspect")
@_reported
def inspect_dicom(
    folder: Annotated[str | None, typer.Argument(help="Folder of DICOM files, any layout.")] = None,
    roi: Annotated[str | None, typer.Option(help="Pattern of region names: shows which it chooses.")] = None,
    config: Annotated[
        str | None, typer.Option(help="YAML file: shows which region and slice it would choose.")
    ] = None,
):
    """List what a DICOM folder holds: CT series, regions of RTSTRUCT and SEG, files that cannot be used."""
    from fgf_keras.data.dicom.inspect import inspect_folder, inspect_table

    overrides = ["data.source=dicom"] + ([f"data.root={folder}"] if folder else [])
    data = load_config(config, overrides).data if config else None
    if folder is None and data is None:
        raise ConfigError("Nothing to inspect: give a folder, or --config with data.root.")
    rows, index = inspect_folder(Path(folder or data.root), pattern=roi, config=data)
    _console.print(inspect_table(rows))
    patients, unusable = len({row[0] for row in rows}), len(index.rejected)
    _console.print(
        f"{patients} patient{'s' * (patients != 1)}, "
        f"{unusable} file{'s' * (unusable != 1)} that cannot be used"
    )
    for number, file in enumerate(index.rejected, start=1):
        line = f"  File {number}, {file.path}: {file.reason} {file.remedy}"
        _console.print(rich.markup.escape(line), soft_wrap=True)


def _import_tensorflow():
    """Import TensorFlow without its banners about absent CUDA drivers, which no log level silences.

    They are written by native code straight to file descriptor 2; what is caught there is shown if the import
    fails.
    """
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
    from fgf_keras.data.splits import save_splits, stratified_splits
    from fgf_keras.training.build import build_model
    from fgf_keras.training.environment import environment
    from fgf_keras.training.fit import configure_compute

    configure_compute(config.compute)
    cohort = load_cohort(config)
    if config.data.source in PREPARED_FROM:
        rejected = sum(cohort.provenance["counts"]["rejected"].values())
        left_out = f"; {rejected} patients and files left out, see rejected.csv there" if rejected else ""
        _console.print(f"Prepared slices: {config.data.out}{left_out}", soft_wrap=True)
    splits = stratified_splits(cohort, config.data.splits, seed=config.seed)
    # What cannot be built stops here, not after the first arm.
    build_model(config, cohort.images.shape[1:], cohort.class_count)
    _console.print(
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

    _console.print(comparison_table(metrics, split))
    directory.mkdir(exist_ok=True)
    write_json(directory / "comparison.json", metrics)
    (directory / "comparison.md").write_text(comparison_markdown(metrics, split))


def main():
    """Entry point of `fgf`."""
    app()


def main_of(command):
    """Entry point of a script that is one command."""
    sys.exit(typer.run(command))
