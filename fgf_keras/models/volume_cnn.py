"""A small 3-D network for volumes around the tumour."""

from collections.abc import Sequence

import keras

from fgf_keras.errors import ModelError
from fgf_keras.models.head import logits_after
from fgf_keras.models.window.activation import activation_of


def volume_cnn(
    image_shape: Sequence[int],
    *,
    classes: int = 2,
    filters: Sequence[int] = (8, 16, 32),
    kernel_sizes: Sequence[int] = (3, 3, 3),
    activation: str = "elu",
    pooling: str = "average",
    pool_size: int | Sequence[int] = 2,
    dense: Sequence[int] = (32,),
    dropout: float | Sequence[float] = 0.0,
    name: str = "volume_cnn",
) -> keras.Model:
    """Convolution, activation and pooling for each of `filters`; mean over positions; dense layers; logits.

    Convolutions keep the size ("same" padding); pooling divides it, rounding down. An axis that has become
    shorter than the pool is no longer pooled, so boxes of few thick slices need no settings of their own.

    Args:
        image_shape: (D, H, W, C).
        classes: 2 gives one logit, K > 2 gives K.
        filters: output channels of each convolution.
        kernel_sizes: edge of each convolution's kernel, voxels.
        activation: after every layer except the last. The reward differentiates twice: "elu", "gelu", "silu",
            "softplus" and "tanh" have a second derivative, "relu" and "leaky_relu" have none.
        pooling: "average" or "max".
        pool_size: edge and stride of the pooling, voxels, or one for each convolution; 1 for none.
        dense: units of the hidden dense layers after the mean over positions.
        dropout: rate before each dense layer, or one for each of them, the logits included.

    Returns:
        A `keras.Model` from (B, D, H, W, C) to logits (B, 1) or (B, K).

    Raises:
        ModelError: the shape is not that of a volume.
    """
    if len(image_shape) != 4:
        raise ModelError(
            f"volume_cnn takes volumes (slices, rows, columns, channels). Received: {tuple(image_shape)}."
        )
    pool = {"average": keras.layers.AveragePooling3D, "max": keras.layers.MaxPooling3D}[pooling]
    inputs = keras.Input(image_shape, name="image")
    x = inputs
    pool_edges = pool_size if isinstance(pool_size, Sequence) else [pool_size] * len(filters)
    for count, size, pool_edge in zip(filters, kernel_sizes, pool_edges):
        x = keras.layers.Conv3D(count, size, padding="same", activation=activation_of(activation))(x)
        pools = [pool_edge if edge >= pool_edge else 1 for edge in x.shape[1:4]]
        if max(pools) > 1:
            x = pool(pools)(x)
    x = keras.layers.GlobalAveragePooling3D()(x)
    logits = logits_after(x, dense=dense, dropout=dropout, activation=activation, classes=classes)
    return keras.Model(inputs, logits, name=name)
