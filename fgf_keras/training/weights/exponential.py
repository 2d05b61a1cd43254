"""The exponential moving average of the weights."""

from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.training.weights.averaged import AveragedWeights


class ExponentialAverage(AveragedWeights):
    """average ← m·average + (1 − m)·weights after every step, with m = min(momentum, (1 + t) / (10 + t)).

    t counts the steps, so that the average follows the weights closely at first instead of remembering the
    random ones. During the first epochs that are not averaged it is the weights themselves.

    Args:
        momentum: in (0, 1).
        start_from_epoch: number of first epochs that are not averaged.

    Raises:
        ModelError: a momentum outside of (0, 1); see also `AveragedWeights`.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992); the growing
    momentum is that of `tf.train.ExponentialMovingAverage`.
    """

    def __init__(self, momentum: float, *, start_from_epoch: int = 0) -> None:
        super().__init__(start_from_epoch=start_from_epoch)
        if not 0 < momentum < 1:
            raise ModelError(f"momentum must be between 0 and 1. Received: momentum={momentum!r}.")
        self.momentum = momentum
        self._average: list[tf.Variable] = []
        self._steps, self._epoch = 0, 0

    def average(self) -> list[np.ndarray]:
        """The average so far."""
        return [variable.numpy() for variable in self._average]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start from the weights."""
        super().on_train_begin(logs)
        self._steps, self._epoch = 0, 0
        self._average = [tf.Variable(weight.value) for weight in self.model.trainable_variables]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Give the model its own weights back."""
        super().on_epoch_begin(epoch, logs)
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the weights of this step."""
        momentum = 0.0
        if self._epoch >= self.start_from_epoch:
            momentum = min(self.momentum, (1 + self._steps) / (10 + self._steps))
            self._steps += 1
        for average, weight in zip(self._average, self.model.trainable_variables, strict=True):
            average.assign(momentum * average + (1 - momentum) * weight.value)
