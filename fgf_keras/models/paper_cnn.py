"""The network of the paper, with configurable layers."""

from collections.abc import Sequence

import keras

from fgf_keras.errors import ModelError
from fgf_keras.models.head import logits_after
from fgf_keras.models.window.average_pooling import AveragePooling
from fgf_keras.models.window.convolution import Convolution


def paper_cnn(
    image_shape: Sequence[int],
    *,
    classes: int = 2,
    filters: Sequence[int] = (32, 64, 128),
    kernel_sizes: Sequence[int] = (5, 3, 3),
    activation: str = "elu",
    pooling: str = "average",
    pool_size: int = 4,
    dense: Sequence[int] = (256, 128),
    dropout: float = 0.0,
    name: str = "paper_cnn",
) -> keras.Model:
    """Convolution, activation and pooling for each of `filters`; dense layers; logits.

    Convolutions keep the size ("same" padding); pooling divides it, rounding down.

    Args:
        image_shape: (H, W, C).
        classes: 2 gives one logit, K > 2 gives K.
        filters: output channels of each convolution.
        kernel_sizes: edge of each convolution's kernel, px.
        activation: after every layer except the last. The reward differentiates twice: "elu", "gelu", "silu",
            "softplus" and "tanh" have a second derivative, "relu" has none.
        pooling: "average" or "max".
        pool_size: edge and stride of the pooling, px; 1 for none.
        dense: units of the hidden dense layers.
        dropout: rate before each dense layer.

    Returns:
        A `keras.Model` from (B, H, W, C) to logits (B, 1) or (B, K).

    Raises:
        ModelError: the image is too small for the number of poolings.

    Source: Jin, Garneau, Fletcher (ISBI 2022), section 3, after Diamant et al. (2019).
    """
    height, width, _ = image_shape
    if min(height, width) // pool_size ** len(filters) < 1:
        raise ModelError(
            f"{len(filters)} poolings by {pool_size} need images of at least {pool_size ** len(filters)} px. "
            f"Received: image_shape={tuple(image_shape)}. Use a larger canvas or a smaller pool_size."
        )
    pool = {"average": AveragePooling, "max": keras.layers.MaxPooling2D}[pooling]
    inputs = keras.Input(image_shape, name="image")
    x = inputs
    for count, size in zip(filters, kernel_sizes):
        x = Convolution(count, size, padding="same", activation=activation)(x)
        if pool_size > 1:
            x = pool(pool_size)(x)
    x = keras.layers.Flatten()(x)
    logits = logits_after(x, dense=dense, dropout=dropout, activation=activation, classes=classes)
    return keras.Model(inputs, logits, name=name)
