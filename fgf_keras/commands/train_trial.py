"""Training, evaluation and export of a single run or of one trial of a comparison."""

import logging
import shutil
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from fgf_keras.commands.evaluation import evaluate
from fgf_keras.commands.export import write_export
from fgf_keras.commands.without_reward import MEASURED, result_without_reward
from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import require_unseen
from fgf_keras.errors import FgfError, RunError
from fgf_keras.files import read_json, write_json
from fgf_keras.geometry.custom_gradients import forgotten_custom_gradients
from fgf_keras.results.run import RunResult
from fgf_keras.run.folder import RunFolder
from fgf_keras.run.trial import Trial, needed_trials, trials_of
from fgf_keras.training.environment import environment
from fgf_keras.training.fit import configure_compute, fit
from fgf_keras.training.tensorboard.hparams import write_hparams

if TYPE_CHECKING:
    from fgf_keras.report.sections.provenance import Provenance


def run_trial(
    trial: Trial,
    config: Config,
    parent: RunFolder,
    cohort: Cohort,
    splits: dict[str, np.ndarray],
) -> None:
    """Train, evaluate and export one trial to a complete run folder; files of a stopped attempt are deleted.

    If one training of many fails, failure.json is written in place of metrics.

    Args:
        trial: the trial to run.
        config: of the comparison.
        parent: folder of the comparison.
        cohort: the patients of this trial.
        splits: positions in the cohort by the name of the part.

    Raises:
        FgfError: the error, with the name of the trial.
    """
    folder, trial_config = trial.folder(parent), _with_folders(trial, config, parent)
    shutil.rmtree(folder.path, ignore_errors=True)
    # Drops the names and graphs of earlier trials, which only take memory.
    keras.utils.clear_session()
    configure_compute(trial_config.compute)
    # TensorFlow warns about retracing, but each trial has to be traced again.
    tf.get_logger().setLevel(logging.ERROR)
    try:
        require_unseen(cohort, splits)
        RunFolder.create(folder.path, trial_config)
        write_json(folder.environment_file, environment(trial_config, cohort, splits))
        # The report of a comparison shows patients of the first split. A single trial of many is rarely
        # served, and an export takes seconds.
        settings: dict[str, Any] = {
            "pictures": trial.number == 0,
            "export": not config.has_tables,
            "alone": False,
        }
        with forgotten_custom_gradients():
            train_and_evaluate(trial_config, cohort, splits, folder, title=None, **settings)
    except RunError as error:
        # The same seed would fail again, and one diverging training must not stop all the others.
        if not config.has_tables:
            raise RunError(f"{trial.name}: {error}") from error
        write_json(folder.failure_file, {"error": str(error)})
    except FgfError as error:
        raise type(error)(f"{trial.name}: {error}") from error
    folder.finish(latest=False)


def _with_folders(trial: Trial, config: Config, parent: RunFolder) -> Config:
    """The configuration of a trial, with the folders of the trials that it needs."""
    needed = {
        other.arm.name: str(other.folder(parent).path) for other in needed_trials(trial, trials_of(config))
    }
    trial_config = trial.config(config)
    return trial_config.model_copy(update={"reward": trial_config.reward.with_runs(needed)})


def train_without_reward(
    config: Config,
    cohort: Cohort,
    splits: dict[str, np.ndarray],
    folder: RunFolder,
    *,
    title: str | None,
) -> None:
    """Train with the same seed and patients but without the reward, and measure validation and test patients.

    Leaves a finished run without report and export in `folder.without_reward`. The weights are chosen among
    the same epochs as with the reward. Arguments are those of `train_and_evaluate` with the reward.

    Raises:
        RunError: the training diverged.
    """
    settings = config.evaluate.model_copy(update=MEASURED)
    config = config.model_copy(update={"reward": config.reward.off, "evaluate": settings})
    own = RunFolder.create(folder.without_reward.path, config)
    write_json(own.environment_file, environment(config, cohort, splits))
    title = title and f"{title} without the reward"
    try:
        train_and_evaluate(
            config, cohort, splits, own, title=title, pictures=False, export=False, alone=False
        )
    except RunError as error:
        raise RunError(f"In the training without the reward (reward.compare): {error}") from error
    own.finish(latest=False)


def train_and_evaluate(
    config: Config,
    cohort: Cohort,
    splits: dict[str, np.ndarray],
    folder: RunFolder,
    *,
    title: str | None,
    provenance: "Provenance | None" = None,
    pictures: bool = True,
    export: bool = True,
    alone: bool = True,
) -> RunResult:
    """Train, evaluate and export into an existing run folder; with a `provenance`, write a report as well."""
    if cohort.encoding is not None:
        write_json(folder.clinical_file, cohort.encoding.to_json())
    model = fit(config, cohort, splits, folder, title=title and f"Training {title}", alone=alone)
    evaluation = evaluate(
        model,
        cohort,
        splits,
        config.evaluate,
        reward=config.reward,
        seed=config.seed,
        n_train=len(splits["train"]),
        # Of the loss; the other kinds of imbalance give both classes the same weight.
        prevalence=float(cohort.labels[splits["train"]].mean()) if config.train.imbalance == "none" else None,
        hu_window=source_of(config).hu_window(),
        baseline=result_without_reward(folder, "test"),
        title=title and f"Evaluating {title}",
    )
    if folder.training_file.is_file():
        evaluation.metrics["training"] = read_json(folder.training_file)
    result = evaluation.write(folder.evaluation, provenance=provenance, pictures=pictures)
    if export:
        write_export(model, config, evaluation.metrics, folder.saved_model, clinical=cohort.encoding)
    means = {part: result.metrics.parts[part].means for part in ("validation", "test")}
    write_hparams(folder, config, means)
    write_json(folder.metrics_file, evaluation.metrics)
    return result
