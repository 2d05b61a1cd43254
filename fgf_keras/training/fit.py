"""Training of one model, which leaves weights, logs and splits in a run folder."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from fgf_keras.config import Config
from fgf_keras.config.reward import RewardConfig
from fgf_keras.config.train import ComputeConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.dataset import class_weights, make_dataset
from fgf_keras.data.splits import save_splits
from fgf_keras.errors import RunError
from fgf_keras.files import read_json, write_json
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.run.folder import RunFolder
from fgf_keras.training.alignment_callback import AlignmentCallback
from fgf_keras.training.build import build_model, rewarded_features
from fgf_keras.training.clinical_start import start_clinical_part
from fgf_keras.training.direction import reward_direction
from fgf_keras.training.progress_callback import ProgressCallback
from fgf_keras.training.reward_callbacks import reward_epochs, reward_guard, reward_schedule
from fgf_keras.training.reward_guard import RewardGuard
from fgf_keras.training.start import check_start, load_start
from fgf_keras.training.tensorboard.alignment import AlignmentSummaries
from fgf_keras.training.tensorboard.layout import write_layout
from fgf_keras.training.tensorboard.run import write_run
from fgf_keras.training.tensorboard.scalars import EpochScalars
from fgf_keras.training.tensorboard.writers import SummaryWriters
from fgf_keras.training.weights.choice import WeightCallbacks, weight_callbacks


def fit(
    config: Config,
    cohort: Cohort,
    splits: dict[str, np.ndarray],
    folder: RunFolder,
    *,
    title: str | None = "Training",
    alone: bool = True,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> AlignmentModel:
    """Train on the split "train", keep the weights that `train.weights` says, and save the model.

    Leaves splits.csv, logs/, checkpoints/, history.csv, training.json and model.keras in the folder.

    Args:
        config: of the run.
        cohort: patients.
        splits: index arrays by the name of the part.
        folder: of the run.
        title: of the progress bar; None for no bar.
        alone: whether the training is not one of several to compare: TensorBoard then also shows pictures of
            patients, the settings and the network.
        callbacks: more of them, after the others.

    Returns:
        The model with the weights that are kept.

    Raises:
        RunError: the loss is not finite, or the run to begin with cannot be used.
    """
    keras.utils.set_random_seed(config.seed)
    model, direction = _initial_model(config, cohort, splits)
    save_splits(folder.splits_file, cohort, splits)
    train = config.train
    training = make_dataset(
        cohort,
        splits["train"],
        batch_size=train.batch_size,
        seed=config.seed,
        augment=config.data.augment,
        balanced=train.imbalance == "balanced_batches",
        training=True,
        windows=True,
    )
    validation = make_dataset(cohort, splits["validation"], batch_size=train.batch_size, windows=True)
    weights = class_weights(cohort.labels[splits["train"]]) if train.imbalance == "class_weights" else None
    steps = len(training)
    schedule = reward_schedule(config, steps)
    guard = reward_guard(config, cohort, splits, schedule)
    folder.best_weights.parent.mkdir()
    warmup = sum(reward_epochs(config))
    keeping = weight_callbacks(train, folder.best_weights, start_from_epoch=warmup)
    with SummaryWriters(folder.logs) as writers:
        if alone:
            environment = read_json(folder.environment_file) if folder.environment_file.is_file() else None
            write_run(writers, config, environment, model.classifier)
        if not train.measure:
            with writers.run("validation", 0):
                write_layout(model.feature_names, watched=False, null=False)
        history = model.fit(
            # Endless, because Keras would otherwise create an iterator per epoch, whose first batch is slow.
            training.repeat(),
            steps_per_epoch=steps,
            validation_data=validation.repeat(),
            validation_steps=len(validation),
            epochs=train.epochs,
            class_weight=weights,
            callbacks=[
                *([schedule] if schedule else []),
                *_callbacks(config, cohort, splits, keeping, title, writers, alone),
                *([guard] if guard else []),
                *callbacks,
            ],
            shuffle=False,  # the dataset shuffles
            verbose=0,
        ).history
    _write_history(folder, history)
    _write_decisions(folder, config.reward, keeping.checkpoint.kept_epoch, direction, guard)
    _require_weights(folder, history, train.monitor)
    model.load_weights(folder.best_weights)
    model.save(folder.model_file)
    return model


def _write_decisions(
    folder: RunFolder,
    reward: RewardConfig,
    kept_epoch: int | None,
    direction: dict[str, float] | None,
    guard: RewardGuard | None,
) -> None:
    """What the training decided by itself, see `RunFolder.training_file`."""
    content: dict[str, Any] = {"kept_epoch": kept_epoch}
    if reward.kind != "none":
        content["reward"] = {
            "direction": direction,
            "fine_tuned_from": reward.fine_tune,
            "reductions": guard.reductions if guard else [],
        }
    write_json(folder.training_file, content)


def _require_weights(folder: RunFolder, history: dict[str, list[float]], monitor: str) -> None:
    """Refuse a training that diverged, or has no weights to keep."""
    if not np.isfinite(history["loss"]).all():
        raise RunError(
            f"The training loss is not finite in epoch {int(np.argmin(np.isfinite(history['loss']))) + 1}. "
            "Lower train.learning_rate or reward.weight."
        )
    if not folder.best_weights.is_file():
        raise RunError(
            f"No epoch had a finite {monitor}, so there is no best model. Choose another train.monitor."
        )


def _initial_model(
    config: Config, cohort: Cohort, splits: dict[str, np.ndarray]
) -> tuple[AlignmentModel, dict[str, float] | None]:
    """The model with the weights that the training begins with, and the direction of its reward."""
    reward, train = config.reward, splits["train"]
    direction = reward_direction(reward, rewarded_features(config), cohort, train, seed=config.seed)
    columns = cohort.column_count
    model = build_model(config, cohort.images.shape[1:], cohort.class_count, direction, columns=columns)
    start_clinical_part(model.classifier, config, cohort, train)
    if reward.fine_tune is not None and reward.kind != "none":
        load_start(model, check_start(reward.fine_tune, config, cohort, splits))
    return model, direction


def _callbacks(
    config: Config,
    cohort: Cohort,
    splits: dict[str, np.ndarray],
    keeping: WeightCallbacks,
    title: str | None,
    writers: SummaryWriters,
    alone: bool,
) -> list[keras.callbacks.Callback]:
    train = config.train
    return [
        *keeping.averaging,
        *([_alignment(config, cohort, splits, writers, alone)] if train.measure else []),
        *([ProgressCallback(title)] if title else []),
        keras.callbacks.TerminateOnNaN(),
        keeping.checkpoint,
        EpochScalars(writers, [feature.name for feature in config.features]),
        *keeping.stopping,
    ]


def _write_history(folder: RunFolder, history: dict[str, list[float]]) -> None:
    """Losses and metrics of each epoch; what was not measured in every epoch is in logs/ alone."""
    epochs = len(history["loss"])
    columns = {key: values for key, values in history.items() if len(values) == epochs}
    table = pd.DataFrame(columns, index=pd.RangeIndex(1, epochs + 1, name="epoch"))
    table.to_csv(folder.history_file)


def _alignment(
    config: Config, cohort: Cohort, splits: dict[str, np.ndarray], writers: SummaryWriters, alone: bool
) -> AlignmentCallback:
    train = config.train
    validation, training = (_classes_in_turn(cohort, splits[name]) for name in ("validation", "train"))
    patients = cohort.select(validation)
    summaries = AlignmentSummaries(
        writers,
        patient_id=patients.patient_id,
        labels=patients.labels,
        null_draws=train.null_draws,
        correlation_length=config.evaluate.correlation_lengths[0],
        seed=config.seed,
        pictures_every=train.pictures_every if alone else 0,
        pictures=train.pictures_patients,
    )
    return AlignmentCallback(
        _arrays(patients),
        training=_arrays(cohort.select(training[: train.flow_patients])),
        # The model's own validation already measures S of the same patients.
        pointwise_every=train.flow_every,
        flow_every=train.flow_every,
        flow_samples=train.flow_patients,
        support=config.reward.support,
        batch_size=train.batch_size,
        summaries=summaries,
    )


def _arrays(cohort: Cohort) -> dict[str, np.ndarray]:
    return {"image": cohort.images, "mask": cohort.masks, "spacing": cohort.spacing, **cohort.inputs}


def _classes_in_turn(cohort: Cohort, indices: np.ndarray) -> np.ndarray:
    """The same patients with the classes in turn, so that the first few are not all of one class."""
    by_class = [indices[cohort.labels[indices] == label] for label in range(cohort.class_count)]
    rank = np.concatenate([np.arange(len(group)) for group in by_class])
    return np.concatenate(by_class)[np.argsort(rank, kind="stable")]


def configure_compute(compute: ComputeConfig) -> None:
    """Set threads, precision and determinism for the whole process, before anything is computed.

    Without `threads`, the cores are divided among the jobs.
    """
    threads = compute.threads
    if threads is None and compute.jobs > 1:
        threads = max(1, (os.cpu_count() or 1) // compute.jobs)
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    if compute.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(compute.precision)
