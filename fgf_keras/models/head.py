"""The dense layers at the end of a network."""

from collections.abc import Sequence
from typing import Any

import keras

from fgf_keras.models.window.activation import activation_of


def logits_after(
    x: Any, *, dense: Sequence[int], dropout: float | Sequence[float], activation: str, classes: int
) -> Any:
    """Logits (B, 1) or (B, K) of flat activations (B, n), after hidden dense layers.

    Args:
        x: Keras tensor.
        dense: units of the hidden layers.
        dropout: rate before each layer, or one rate for each of them, the logits included; 0 for none.
        activation: of the hidden layers.
        classes: 2 gives one logit, K > 2 gives K.
    """
    rates = dropout if isinstance(dropout, Sequence) else [dropout] * (len(dense) + 1)
    for units, rate in zip(dense, rates):
        if rate:
            x = keras.layers.Dropout(rate)(x)
        x = keras.layers.Dense(units, activation=activation_of(activation))(x)
    if rates[-1]:
        x = keras.layers.Dropout(rates[-1])(x)
    # Under mixed precision the logits stay in float32.
    return keras.layers.Dense(1 if classes == 2 else classes, dtype="float32", name="logits")(x)
