"""The checkpoint of the best epoch, without the epochs of the reward's warm-up."""

from pathlib import Path
from typing import Any

import keras


class BestCheckpoint(keras.callbacks.ModelCheckpoint):
    """`ModelCheckpoint` of the best weights that ignores the first epochs.

    During the reward's warm-up the model is trained with less than the full λ, and an epoch may be the best
    because of the task alone.

    Args:
        path: file for the weights.
        monitor: key of `logs`.
        mode: "min" or "max".
        start_from_epoch: number of first epochs to ignore.

    Attributes:
        kept_epoch: number of the epoch, from 1, whose weights are in the file; None if there are none.
    """

    def __init__(self, path: str | Path, *, monitor: str, mode: str, start_from_epoch: int = 0) -> None:
        super().__init__(path, monitor=monitor, mode=mode, save_best_only=True, save_weights_only=True)
        self.start_from_epoch = start_from_epoch
        self.kept_epoch: int | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save if this is the best of the epochs that count."""
        if epoch >= self.start_from_epoch:
            best = self.best
            super().on_epoch_end(epoch, logs)
            if self.best != best:
                self.kept_epoch = epoch + 1
