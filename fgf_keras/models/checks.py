"""Checks of the arguments, the loss and the layers of a classifier that is trained with a reward."""

import warnings
from collections.abc import Collection
from typing import Any

import keras

from fgf_keras.errors import ModelError
from fgf_keras.models.input_gradient import Classifier


def require_one_of(name: str, value: object, choices: Collection[str]) -> None:
    """Raise `ModelError` for an argument that is not one of the choices."""
    if value not in choices:
        raise ModelError(f"{name} must be one of {', '.join(choices)}. Received: {name}={value!r}.")


def require_loss_of_logits(loss: Any) -> None:
    """Raise `ModelError` for a loss that expects probabilities."""
    by_name = isinstance(loss, str) and "crossentropy" in loss.lower().replace("_", "")
    if by_name or getattr(loss, "from_logits", None) is False:
        raise ModelError(
            f"The classifier returns logits, but the loss expects probabilities. Received: loss={loss!r}. "
            "Compile with a loss of logits, e.g. keras.losses.BinaryCrossentropy(from_logits=True)."
        )


def warn_of_vanishing_curvature(classifier: Classifier) -> None:
    """Warn about layers whose second derivative vanishes almost everywhere."""
    layers = classifier._flatten_layers()
    kinds = []
    if any(
        isinstance(layer, (keras.layers.ReLU, keras.layers.LeakyReLU))
        or getattr(getattr(layer, "activation", None), "__name__", "") in ("relu", "leaky_relu")
        for layer in layers
    ):
        kinds.append("ReLU")
    if any("MaxPooling" in type(layer).__name__ for layer in layers):
        kinds.append("max pooling")
    if kinds:
        warnings.warn(
            f"The classifier uses {' and '.join(kinds)}, whose second derivative vanishes almost everywhere: "
            "the reward then cannot shape where the network switches, only its weights between switches. "
            "ELU and average pooling do not have this limit, and reward_gradient='difference' sees the "
            "switches within its step; see docs/method.md.",
            stacklevel=3,
        )
