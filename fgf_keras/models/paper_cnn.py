"""The network of the paper, with configurable layers."""

from collections.abc import Sequence

import keras

from fgf_keras.errors import ModelError
from fgf_keras.models.head import logits_after
from fgf_keras.models.window.activation import activation_of
from fgf_keras.models.window.average_pooling import AveragePooling
from fgf_keras.models.window.convolution import Convolution


def paper_cnn(
    image_shape: Sequence[int],
    *,
    classes: int = 2,
    filters: Sequence[int] = (32, 64, 128),
    kernel_sizes: Sequence[int] = (5, 3, 3),
    strides: Sequence[int] | None = None,
    activation: str = "elu",
    pooling: str = "average",
    pool_size: int | Sequence[int] = 4,
    dense: Sequence[int] = (256, 128),
    dropout: float | Sequence[float] = 0.0,
    name: str = "paper_cnn",
) -> keras.Model:
    """Convolution, activation and pooling for each of `filters`; dense layers; logits.

    Convolutions keep the size ("same" padding), or divide it by their stride, rounding up; pooling divides
    it, rounding down. A network with strides is computed on the whole canvas, see `RoiCnn`.

    Args:
        image_shape: (H, W, C).
        classes: 2 gives one logit, K > 2 gives K.
        filters: output channels of each convolution.
        kernel_sizes: edge of each convolution's kernel, px.
        strides: of each convolution, px; by default 1.
        activation: after every layer except the last. The reward differentiates twice: "elu", "gelu", "silu",
            "softplus" and "tanh" have a second derivative, "relu" and "leaky_relu" (slope 0.01) have none.
        pooling: "average" or "max".
        pool_size: edge and stride of the pooling, px, or one for each convolution; 1 for none.
        dense: units of the hidden dense layers.
        dropout: rate before each dense layer, or one for each of them, the logits included.

    Returns:
        A `keras.Model` from (B, H, W, C) to logits (B, 1) or (B, K).

    Raises:
        ModelError: the image is too small for the number of poolings.

    Source: Jin, Garneau, Fletcher (ISBI 2022), section 3, after Diamant et al. (2019).
    """
    pools = list(pool_size) if isinstance(pool_size, Sequence) else [pool_size] * len(filters)
    steps = list(strides or [1] * len(filters))
    _require_size(image_shape, steps, pools)
    pool = {"average": AveragePooling, "max": keras.layers.MaxPooling2D}[pooling]
    inputs = keras.Input(image_shape, name="image")
    x = inputs
    for count, size, step, edge in zip(filters, kernel_sizes, steps, pools):
        x = Convolution(count, size, step, padding="same", activation=activation_of(activation))(x)
        if edge > 1:
            x = pool(edge)(x)
    x = keras.layers.Flatten()(x)
    logits = logits_after(x, dense=dense, dropout=dropout, activation=activation, classes=classes)
    return keras.Model(inputs, logits, name=name)


def _require_size(image_shape: Sequence[int], steps: Sequence[int], pools: Sequence[int]) -> None:
    """Refuse images that the poolings would leave nothing of."""
    edge = min(image_shape[:2])
    for step, pool in zip(steps, pools):
        edge = -(-edge // step) // pool
    if edge:
        return
    least = 1
    for step, pool in zip(reversed(steps), reversed(pools)):
        least = (least * pool - 1) * step + 1
    layers = f"{len(pools)} poolings by {', '.join(map(str, dict.fromkeys(pools)))}"
    layers += f" after strides {', '.join(map(str, steps))}" if max(steps) > 1 else ""
    raise ModelError(
        f"{layers} need images of at least {least} px. Received: image_shape={tuple(image_shape)}. Use a "
        "larger canvas or a smaller pool_size."
    )
