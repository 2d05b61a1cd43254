"""The mean of the weights over the last epochs."""

from collections import deque
from typing import Any

import numpy as np

from fgf_keras.errors import ModelError
from fgf_keras.training.weights.averaged import AveragedWeights, values_of


class LastEpochsAverage(AveragedWeights):
    """The mean of the weights at the ends of the last epochs, as many as there are so far.

    Early stopping ends the training anywhere: the last epochs are those before it. The weights of these
    epochs are kept in memory.

    Args:
        epochs: number of epochs to average over.
        start_from_epoch: number of first epochs that are not averaged: until then it is the weights
            themselves.

    Raises:
        ModelError: fewer than one epoch; see also `AveragedWeights`.

    Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization" (UAI 2018),
    here at a constant learning rate.
    """

    def __init__(self, epochs: int, *, start_from_epoch: int = 0) -> None:
        super().__init__(start_from_epoch=start_from_epoch)
        if epochs < 1:
            raise ModelError(f"epochs must be at least 1. Received: epochs={epochs!r}.")
        self._weights: deque[list[np.ndarray]] = deque(maxlen=epochs)
        self._epoch = 0

    def average(self) -> list[np.ndarray]:
        """The mean over the epochs so far."""
        return [np.asarray(np.mean(values, axis=0, dtype=np.float64)) for values in zip(*self._weights)]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget an earlier training."""
        super().on_train_begin(logs)
        self._weights.clear()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Give the model its own weights back."""
        super().on_epoch_begin(epoch, logs)
        self._epoch = epoch

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Add the weights at the end of this epoch, and give the model the mean."""
        if self._own is None:
            if self._epoch <= self.start_from_epoch:
                self._weights.clear()
            self._weights.append(values_of(self.model))
        super().on_test_begin(logs)
