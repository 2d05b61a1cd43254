"""The paper's baseline: a linear feature with random coefficients."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from fgf_keras.features.base import Feature, axes_of_sample


@keras.saving.register_keras_serializable(package="fgf_keras")
class LinearNoise(Feature):
    """A fixed random projection, g = ⟨v, x⟩ with v standard normal, ∇g = v.

    Args:
        seed: the same seed gives the same v on every machine.
        name: defaults to "noise".

    Source: the noise baseline of Jin, Garneau, Fletcher (ISBI 2022).
    """

    default_name = "noise"

    def __init__(self, seed: int = 0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.seed = seed

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`."""
        return tf.reduce_sum(image * self.gradient(image, mask, spacing), axis=axes_of_sample(image))

    def gradient(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.gradient`: v over the whole canvas; a support restricts it like any other field."""
        del mask, spacing
        return tf.broadcast_to(white_field(tf.shape(image)[1:], self.seed, image.dtype), tf.shape(image))

    def get_config(self) -> dict[str, Any]:
        """Keras serialisation."""
        return {**super().get_config(), "seed": self.seed}


def white_field(
    shape: Sequence[int] | tf.Tensor, seed: int | tf.Tensor, dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """A fixed standard normal field of the given shape: the same for the same seed, on every machine."""
    # The second word keeps these fields apart from other uses of small seeds.
    # The algorithm is named because the default differs between compiled and uncompiled graphs.
    return tf.cast(tf.random.stateless_normal(shape, tf.stack([seed, 0x5EED]), alg="philox"), dtype)
