"""User-defined features: TensorFlow functions that are differentiated automatically."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from fgf_keras.errors import FeatureError
from fgf_keras.features.base import Feature


@keras.saving.register_keras_serializable(package="fgf_keras")
class AutodiffFeature(Feature):
    """A feature from a function of (image, mask) written with tf operations.

    Args:
        function: of image (B, H, W, C) and mask (B, H, W, 1) to (B,); each value depends on its own sample.
        name: defaults to the function's name.

    Example:
        >>> @keras.saving.register_keras_serializable(package="mine")
        ... def contrast(image, mask):
        ...     inside = tf.reduce_sum(image * mask, [1, 2, 3]) / tf.reduce_sum(mask, [1, 2, 3])
        ...     return tf.reduce_sum(mask * (image - inside[:, None, None, None]) ** 2, [1, 2, 3])
        >>> AutodiffFeature(contrast)
    """

    def __init__(
        self, function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], *, name: str | None = None
    ) -> None:
        if not callable(function):
            raise FeatureError(f"Expected a function of (image, mask). Received: function={function!r}.")
        super().__init__(name=name or getattr(function, "__name__", None))
        self.function = function

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`."""
        del spacing
        value = self.function(image, mask)
        if value.shape.rank != 1:
            raise FeatureError(
                f"Feature {self.name!r} must return one number per sample, shape (B,). "
                f"Received: shape={tuple(value.shape)}. Sum or average over the pixel axes [1, 2, 3]."
            )
        return value

    def get_config(self) -> dict[str, Any]:
        """Keras serialisation.

        Raises:
            FeatureError: the function is not registered, so a saved model could not find it again.
        """
        registered = keras.saving.get_registered_name(self.function)
        if keras.saving.get_registered_object(registered) is not self.function:
            raise FeatureError(
                f"Feature {self.name!r} cannot be saved: decorate its function with "
                "@keras.saving.register_keras_serializable(package=...), which lambdas cannot be."
            )
        return {**super().get_config(), "function": registered}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AutodiffFeature":
        """Keras serialisation."""
        config = dict(config)
        registered = config.pop("function")
        function = keras.saving.get_registered_object(registered)
        if function is None:
            raise FeatureError(
                f"Feature {config['name']!r} needs the function {registered!r}. Import the module that "
                "registers it before loading."
            )
        return cls(function, **config)
