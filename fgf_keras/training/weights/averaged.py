"""What averages of weights have in common: the model holds them between epochs."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fgf_keras.errors import ModelError


class AveragedWeights(keras.callbacks.Callback):
    """Gives the model an average of its weights between epochs, and its own weights back for the training.

    From the validation at the end of an epoch until the next epoch begins the model holds the average: the
    validation metrics in `logs`, alignment measured by other callbacks, checkpoints and early stopping are
    all of the averaged weights. After training the model keeps the average.

    Optimizer, loss scaling and what `model.save` writes are not touched. A subclass provides `average`.

    Args:
        start_from_epoch: number of first epochs that are not averaged.

    Raises:
        ModelError: `on_train_begin`, if layers hold statistics of batches, as batch normalisation does: those
            of the network's own weights would not fit their average.
    """

    def __init__(self, *, start_from_epoch: int = 0) -> None:
        super().__init__()
        self.start_from_epoch = start_from_epoch
        self._own: list[np.ndarray] | None = None

    def average(self) -> list[np.ndarray]:
        """The average of the trainable weights, in their order."""
        raise NotImplementedError

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check that the weights can be averaged."""
        self._own = None
        with_statistics = moving_statistics(self.model)
        if with_statistics:
            raise ModelError(
                f"Weights cannot be averaged: layer {with_statistics[0]!r} keeps statistics of batches, "
                "which belong to the weights of one step. Use layer or group normalisation, or "
                "train.weights: best or smoothed."
            )

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Give the model the average, unless it holds it already."""
        if self._own is None:
            self._own = values_of(self.model)
            assign(self.model, self.average())

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Give the model its own weights back."""
        if self._own is not None:
            assign(self.model, self._own)
            self._own = None


def values_of(model: keras.Model) -> list[np.ndarray]:
    """Copies of the trainable weights."""
    return [np.array(weight) for weight in model.trainable_variables]


def assign(model: keras.Model, values: list[np.ndarray]) -> None:
    """Set the trainable weights."""
    for weight, value in zip(model.trainable_variables, values, strict=True):
        weight.assign(value)


def moving_statistics(model: keras.Model) -> list[str]:
    """Names of trainable layers with weights that are not trained but change, as in batch normalisation."""
    names = []
    for layer in model._flatten_layers(include_self=False):
        if layer.trainable and not layer._layers:
            weights = layer.non_trainable_weights
            names += [layer.name] * any(tf.as_dtype(weight.dtype).is_floating for weight in weights)
    return names
