"""How much brighter the core of the tumour is than its rim."""

from typing import Any

import keras
import tensorflow as tf

from fgf_keras.errors import FeatureError
from fgf_keras.features.base import Feature, axes_of_sample, refuse_ranks
from fgf_keras.features.moments import as_field, weights
from fgf_keras.geometry.products import per_sample


@keras.saving.register_keras_serializable(package="fgf_keras")
class CoreContrast(Feature):
    """Mean intensity of the core less that of the rim, g = Σ_core w / n_core - Σ_rim w / n_rim.

    The core is the part of the mask within `radius` · √(A/π) of the mask's centroid, with A the area of the
    mask in mm² (for volumes, `radius` times the radius of the ball of its volume), the rim is the rest of it:
    a necrotic centre or an enhancing rim makes g negative. In units of the image. ∂g/∂x_j = 1/n_core in the
    core and -1/n_rim in the rim, so that g is orthogonal to `Brightness` in gradient.

    Args:
        radius: of the core, as a fraction of that of a disc of the tumour's area, in (0, 1).
        name: defaults to "core_contrast".

    Raises:
        FeatureError: a radius outside (0, 1).
    """

    default_name = "core_contrast"
    shift_invariant = True
    ranks = (2, 3)

    def __init__(self, radius: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name=name)
        if not 0 < radius < 1:
            raise FeatureError(f"CoreContrast needs 0 < radius < 1. Received: radius={radius!r}.")
        self.radius = radius

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`; a core or a rim without pixels counts as 0."""
        refuse_ranks([self], len(image.shape) - 2)
        mass, shares = weights(image, mask), self._shares(image, mask, spacing)
        return tf.reduce_sum(mass * shares, axes_of_sample(mass))

    def is_defined(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.is_defined`; False without pixels in the core, or in the rim."""
        core, rim = self._parts(image, mask, spacing)
        axes = axes_of_sample(core)
        return tf.minimum(tf.reduce_sum(core, axes), tf.reduce_sum(rim, axes)) > 0

    def gradient(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.gradient`; closed form."""
        return as_field(self._shares(image, mask, spacing), image, mask)

    def get_config(self) -> dict[str, Any]:
        """Keras serialisation."""
        return {**super().get_config(), "radius": self.radius}

    def _shares(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None) -> tf.Tensor:
        """The weight of each pixel in the value, (B, …)."""
        core, rim = self._parts(image, mask, spacing)
        inside, outside = (
            tf.math.divide_no_nan(part, per_sample(tf.reduce_sum(part, axes_of_sample(part)), part))
            for part in (core, rim)
        )
        return inside - outside

    def _parts(
        self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Core and rim as fields (B, …) of 0 and 1."""
        tumour = tf.cast(mask[..., 0], image.dtype)
        axes = axes_of_sample(tumour)
        count, dimension = tf.reduce_sum(tumour, axes), len(tumour.shape) - 1
        edges = tf.ones([1, dimension], image.dtype)
        if spacing is not None:
            edges = tf.reshape(tf.cast(spacing, image.dtype), [-1, dimension])
        squared = tf.zeros_like(tumour)
        for axis in range(dimension):
            shape = [1] * (dimension + 1)
            shape[axis + 1] = -1
            place = tf.reshape(tf.range(tf.shape(tumour)[axis + 1]), shape)
            place = tf.cast(place, image.dtype) * per_sample(edges[:, axis], tumour)
            centre = tf.math.divide_no_nan(tf.reduce_sum(place * tumour, axes), count)
            squared += (place - per_sample(centre, tumour)) ** 2
        size = count * tf.reduce_prod(edges, axis=1)
        # The volume of a ball is 4/3 π r³, the area of a disc π r².
        pi = tf.constant(3.141592653589793, image.dtype)
        reach = tf.sqrt(size / pi) if dimension == 2 else (0.75 * size / pi) ** (1 / 3)
        near = squared <= per_sample((self.radius * reach) ** 2, squared)
        core = tumour * tf.cast(near, tumour.dtype)
        return core, tumour - core
