"""The dense layers at the end of a network."""

from collections.abc import Sequence
from typing import Any

import keras


def logits_after(x: Any, *, dense: Sequence[int], dropout: float, activation: str, classes: int) -> Any:
    """Logits (B, 1) or (B, K) of flat activations (B, n), after hidden dense layers.

    Args:
        x: Keras tensor.
        dense: units of the hidden layers.
        dropout: rate before each layer; 0 for none.
        activation: of the hidden layers.
        classes: 2 gives one logit, K > 2 gives K.
    """
    for units in dense:
        if dropout:
            x = keras.layers.Dropout(dropout)(x)
        x = keras.layers.Dense(units, activation=activation)(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    # Under mixed precision the logits stay in float32.
    return keras.layers.Dense(1 if classes == 2 else classes, dtype="float32", name="logits")(x)
