"""The callbacks that keep the weights which the configuration asks for."""

from pathlib import Path
from typing import Any, NamedTuple

import keras

from fgf_keras.config.train import TrainConfig
from fgf_keras.training.best_checkpoint import BestCheckpoint
from fgf_keras.training.weights.exponential import ExponentialAverage
from fgf_keras.training.weights.last_epochs import LastEpochsAverage
from fgf_keras.training.weights.smoothed import SmoothedCheckpoint


class WeightCallbacks(NamedTuple):
    """Callbacks by their place in the list.

    Attributes:
        averaging: before all others, so that these see the averaged weights.
        checkpoint: after those that measure, because it may monitor what they measure.
        stopping: after the checkpoint.
    """

    averaging: list[keras.callbacks.Callback]
    checkpoint: keras.callbacks.Callback
    stopping: list[keras.callbacks.Callback]


def weight_callbacks(train: TrainConfig, path: str | Path, *, start_from_epoch: int) -> WeightCallbacks:
    """The callbacks that leave the kept weights in a file, and those that stop a training early.

    Averages are not chosen by the monitored metric: those at the end of the training are kept.

    Args:
        train: the group `train` of the configuration.
        path: file for the weights.
        start_from_epoch: number of first epochs to ignore, those of the reward's warm-up.
    """
    mode = "min" if train.monitor.endswith("loss") else "max"
    monitor, start = train.monitor, start_from_epoch
    averaging: list[keras.callbacks.Callback] = []
    checkpoint: keras.callbacks.Callback
    if train.weights == "smoothed":
        # Of few epochs the window is as long as they allow.
        most = train.epochs - start_from_epoch
        window = min(train.smoothing_epochs, most - 1 + most % 2)
        checkpoint = SmoothedCheckpoint(
            path, monitor=monitor, mode=mode, epochs=window, start_from_epoch=start_from_epoch
        )
        monitor, start = f"smoothed_{monitor}", start_from_epoch + window - 1
    elif train.weights == "best":
        checkpoint = BestCheckpoint(path, monitor=monitor, mode=mode, start_from_epoch=start_from_epoch)
    else:
        averaging.append(
            ExponentialAverage(train.ema_momentum, start_from_epoch=start_from_epoch)
            if train.weights == "ema"
            else LastEpochsAverage(train.average_epochs, start_from_epoch=start_from_epoch)
        )
        checkpoint = LastCheckpoint(path)
    stopping: list[keras.callbacks.Callback] = []
    if train.early_stopping_patience:
        stopping.append(
            keras.callbacks.EarlyStopping(
                monitor, mode=mode, patience=train.early_stopping_patience, start_from_epoch=start
            )
        )
    return WeightCallbacks(averaging, checkpoint, stopping)


class LastCheckpoint(keras.callbacks.Callback):
    """Saves the weights that the model holds at the end of the training.

    Args:
        path: file for the weights.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = str(path)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Save."""
        self.model.save_weights(self.path)
