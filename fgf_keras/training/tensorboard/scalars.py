"""The `logs` of a training as scalars, which TensorBoard shows in a few groups."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from fgf_keras.training.tensorboard.writers import SummaryWriters

_LOSSES = {"loss": "total", "task_loss": "task", "reward": "reward"}
_SCHEDULE = ("learning_rate", "reward_scale")


class EpochScalars(keras.callbacks.Callback):
    """Writes all of `logs` after every epoch, training and validation as two runs with the same tags.

    loss/{total, task, reward}, alignment/{S, F}_<feature or joint>, effects/<feature>, metrics/<name>, and in
    the run "train" schedule/{learning_rate, reward_scale}. Put it after the callbacks that add to `logs`.

    Args:
        writers: of the runs "train" and "validation".
        feature_names: the features whose S and F are shown under alignment.
    """

    def __init__(self, writers: SummaryWriters, feature_names: Sequence[str]) -> None:
        super().__init__()
        self._writers = writers
        self._names = list(feature_names)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the logs of the epoch."""
        write_scalars(self._writers, epoch, {**(logs or {}), **self._schedule()}, self._names)

    def _schedule(self) -> dict[str, float]:
        schedule = {"learning_rate": float(self.model.optimizer.learning_rate)}
        if hasattr(self.model, "reward_scale"):
            schedule["reward_scale"] = float(self.model.reward_scale)
        return schedule


def write_scalars(writers: SummaryWriters, epoch: int, logs: Mapping[str, Any], names: Sequence[str]) -> None:
    """Write each of `logs` under the tag of its group, and flush, so that TensorBoard sees it.

    Args:
        writers: of the runs "train" and "validation".
        epoch: of the logs.
        logs: numbers by name; names that start with "val_" belong to the run "validation".
        names: of the features whose S and F are alignment.
    """
    for run, prefix in (("train", ""), ("validation", "val_")):
        of_run = {key: v for key, v in logs.items() if key.startswith("val_") == (run == "validation")}
        if of_run:
            with writers.run(run, epoch):
                for key, value in of_run.items():
                    tf.summary.scalar(_tag(key.removeprefix(prefix), names), value)
    writers.flush()


def _tag(key: str, names: Sequence[str]) -> str:
    if key in _LOSSES:
        return f"loss/{_LOSSES[key]}"
    kind, _, name = key.partition("_")
    if kind in ("S", "F") and name in (*names, "joint"):
        return f"alignment/{key}"
    if kind == "effect" and name in names:
        return f"effects/{name}"
    return f"schedule/{key}" if key in _SCHEDULE else f"metrics/{key}"
