"""The checkpoint of the epoch around which the monitored metric is best on average."""

from collections import deque
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fgf_keras.errors import ModelError


class SmoothedCheckpoint(keras.callbacks.Callback):
    """Saves the weights of the middle epoch of the window of epochs with the best mean of a metric.

    The metric of a single epoch on few validation patients is noisy, and its best value is often the
    luckiest one. The mean over a window of epochs is known only at its end, so the weights of half a window
    are kept in memory. Only whole windows count.

    Args:
        path: file for the weights.
        monitor: key of `logs`.
        mode: "min" or "max".
        epochs: length of the window, an odd number.
        start_from_epoch: number of first epochs to ignore.

    The mean over the window that ends with an epoch, or over the epochs of it that there are so far, is added
    to its `logs` as `smoothed_<monitor>`.

    Attributes:
        kept_epoch: number of the epoch, from 1, whose weights are in the file; None if there are none.

    Raises:
        ModelError: an even number of epochs, which has no middle.
    """

    def __init__(
        self, path: str | Path, *, monitor: str, mode: str, epochs: int, start_from_epoch: int = 0
    ) -> None:
        super().__init__()
        if epochs < 1 or epochs % 2 == 0:
            raise ModelError(
                f"SmoothedCheckpoint needs an odd number of epochs. Received: epochs={epochs!r}."
            )
        self.path, self.monitor, self.start_from_epoch = str(path), monitor, start_from_epoch
        self._epochs = epochs
        self._sign = {"max": 1, "min": -1}[mode]
        self._values: deque[float] = deque(maxlen=epochs)
        self._weights: deque[list[np.ndarray]] = deque(maxlen=epochs // 2 + 1)
        self._best = -np.inf
        self.kept_epoch: int | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget an earlier training."""
        self._values.clear()
        self._weights.clear()
        self._best = -np.inf

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save the weights of the middle epoch if the window that ends here is the best so far."""
        if logs is None or self.monitor not in logs:
            return
        counts = epoch >= self.start_from_epoch
        values = [*self._values, float(logs[self.monitor])] if counts else [float(logs[self.monitor])]
        mean = float(np.mean(values[-self._epochs :]))
        logs[f"smoothed_{self.monitor}"] = mean
        if not counts:
            return
        self._values.append(values[-1])
        self._weights.append(self.model.get_weights())
        # False for NaN, which is never the best.
        if len(self._values) == self._epochs and self._sign * mean > self._best:
            self._best = self._sign * mean
            self.kept_epoch = epoch + 1 - self._epochs // 2
            current = self.model.get_weights()
            self.model.set_weights(self._weights[0])
            self.model.save_weights(self.path)
            self.model.set_weights(current)


def smoothed(values: np.ndarray, epochs: int) -> np.ndarray:
    """The mean over the window of epochs around each epoch; NaN for those whose window is not whole.

    Args:
        values: (epochs of the training,), a metric.
        epochs: length of the window, an odd number.
    """
    values = np.asarray(values, np.float64)
    means = np.full(len(values), np.nan)
    half = epochs // 2
    if len(values) >= epochs:
        windows = np.lib.stride_tricks.sliding_window_view(values, epochs)
        means[half : len(values) - half] = windows.mean(axis=1)
    return means
