"""From splits to metrics: what a run, or a trial of a comparison, does and leaves."""

import logging
import shutil

import keras
import tensorflow as tf

from fgf_keras.commands.evaluation import evaluate
from fgf_keras.commands.export import write_export
from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.splits import require_unseen
from fgf_keras.errors import FgfError, RunError
from fgf_keras.files import write_json
from fgf_keras.geometry.custom_gradients import forgotten_custom_gradients
from fgf_keras.results.run import RunResult
from fgf_keras.run.folder import RunFolder
from fgf_keras.run.trial import Trial
from fgf_keras.training.environment import environment
from fgf_keras.training.fit import configure_compute, fit
from fgf_keras.training.tensorboard.hparams import write_hparams


def run_trial(
    trial: Trial,
    config: Config,
    parent: RunFolder,
    cohort: Cohort,
    splits: dict,
) -> None:
    """Train, evaluate and export one trial into a whole run folder; what a stopped one left goes first.

    A training that fails among many leaves failure.json instead of metrics.

    Args:
        trial: which.
        config: of the comparison.
        parent: folder of the comparison.
        cohort: its patients.
        splits: of this trial.

    Raises:
        FgfError: what went wrong, with the name of the trial.
    """
    folder, own = trial.folder(parent), trial.config(config)
    shutil.rmtree(folder.path, ignore_errors=True)
    # The names and graphs of the trials before, which would only take memory.
    keras.utils.clear_session()
    configure_compute(own.compute)
    # Each trial is traced anew, which TensorFlow takes for a mistake.
    tf.get_logger().setLevel(logging.ERROR)
    try:
        require_unseen(cohort, splits)
        RunFolder.create(folder.path, own)
        write_json(folder.environment_file, environment(own, cohort, splits))
        # The report of a comparison shows patients of the first split.
        # Nobody serves one trial of many before they are compared, and an export takes seconds.
        settings = {"pictures": trial.number == 0, "export": not config.has_tables, "alone": False}
        with forgotten_custom_gradients():
            train_and_evaluate(own, cohort, splits, folder, title=None, **settings)
    except RunError as error:
        # The same seed fails again. One weight that diverges must not cost all the others.
        if not config.has_tables:
            raise RunError(f"{trial.name}: {error}") from error
        write_json(folder.failure_file, {"error": str(error)})
    except FgfError as error:
        raise type(error)(f"{trial.name}: {error}") from error
    folder.finish(latest=False)


def train_and_evaluate(
    config: Config,
    cohort: Cohort,
    splits: dict,
    folder: RunFolder,
    *,
    title: str | None,
    provenance=None,
    pictures: bool = True,
    export: bool = True,
    alone: bool = True,
) -> RunResult:
    """Everything between a new run folder and its metrics; with a `Provenance`, a report as well."""
    model = fit(config, cohort, splits, folder, title=title and f"Training {title}", alone=alone)
    evaluation = evaluate(
        model,
        cohort,
        splits,
        config.evaluate,
        reward=config.reward,
        seed=config.seed,
        n_train=len(splits["train"]),
        title=title and f"Evaluating {title}",
    )
    result = evaluation.write(folder.evaluation, provenance=provenance, pictures=pictures)
    if export:
        write_export(model, config, evaluation.metrics["threshold"]["logit"], folder.saved_model)
    means = {part: result.metrics.parts[part].means for part in ("validation", "test")}
    write_hparams(folder, config, means)
    write_json(folder.metrics_file, evaluation.metrics)
    return result
