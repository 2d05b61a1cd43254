"""The callbacks that keep the weights which the configuration asks for."""

from pathlib import Path
from typing import NamedTuple

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
    checkpoint: BestCheckpoint | SmoothedCheckpoint
    stopping: list[keras.callbacks.Callback]


def weight_callbacks(train: TrainConfig, path: str | Path, *, start_from_epoch: int) -> WeightCallbacks:
    """The callbacks that leave the kept weights in a file, and those that stop a training early.

    An average is chosen like an epoch, by the monitored metric, which is that of the averaged weights:
    networks overfit on small cohorts, and an average of their last epochs does as well.

    Args:
        train: the group `train` of the configuration.
        path: file for the weights.
        start_from_epoch: number of first epochs to ignore, those of the reward's warm-up.
    """
    mode = "min" if train.monitor.endswith("loss") else "max"
    monitor, start = train.monitor, start_from_epoch
    averaging: list[keras.callbacks.Callback] = []
    checkpoint: BestCheckpoint | SmoothedCheckpoint
    if train.weights == "smoothed":
        # Of few epochs the window is as long as they allow.
        most = train.epochs - start_from_epoch
        window = min(train.smoothing_epochs, most - 1 + most % 2)
        checkpoint = SmoothedCheckpoint(
            path, monitor=monitor, mode=mode, epochs=window, start_from_epoch=start_from_epoch
        )
        monitor, start = f"smoothed_{monitor}", start_from_epoch + window - 1
    else:
        checkpoint = BestCheckpoint(path, monitor=monitor, mode=mode, start_from_epoch=start_from_epoch)
    if train.weights == "ema":
        averaging.append(ExponentialAverage(train.ema_momentum, start_from_epoch=start_from_epoch))
    elif train.weights == "swa":
        averaging.append(LastEpochsAverage(train.average_epochs, start_from_epoch=start_from_epoch))
    stopping: list[keras.callbacks.Callback] = []
    if train.early_stopping_patience:
        stopping.append(
            keras.callbacks.EarlyStopping(
                monitor, mode=mode, patience=train.early_stopping_patience, start_from_epoch=start
            )
        )
    return WeightCallbacks(averaging, checkpoint, stopping)
