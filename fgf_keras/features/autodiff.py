"""User-defined features: TensorFlow functions that are differentiated automatically."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from fgf_keras.errors import FeatureError
from fgf_keras.features.base import Feature, axes_of_sample
from fgf_keras.features.moments import axis_spacing

# What a function may take, in this order.
_INPUTS = ("image", "mask", "spacing")
_SIGNATURES = "(image), (image, mask) or (image, mask, spacing)"


@keras.saving.register_keras_serializable(package="fgf_keras")
class AutodiffFeature(Feature):
    """A feature from a function of (image, mask) written with tf operations.

    Args:
        function: of (image), (image, mask) or (image, mask, spacing) to (B,), each value of its own sample
            alone; image (B, *spatial, C), mask (B, *spatial, 1), spacing (B, s) in mm. Spacing is a tensor in
            the type of the image, of ones if it is unknown. A parameter with a default keeps it unless it is
            called `mask` or `spacing`.
        name: defaults to the function's name.

    Raises:
        FeatureError: the function takes something else, or has no name that can be used.

    Example:
        >>> @keras.saving.register_keras_serializable(package="mine")
        ... def contrast(image, mask):
        ...     inside = tf.reduce_sum(image * mask, [1, 2, 3]) / tf.reduce_sum(mask, [1, 2, 3])
        ...     return tf.reduce_sum(mask * (image - inside[:, None, None, None]) ** 2, [1, 2, 3])
        >>> AutodiffFeature(contrast)
    """

    def __init__(self, function: Callable[..., tf.Tensor], *, name: str | None = None) -> None:
        if not callable(function):
            raise FeatureError(f"Expected a function of {_SIGNATURES}. Received: function={function!r}.")
        super().__init__(name=name or _name_of(function))
        self.function = function
        self._positional, self._by_keyword = _inputs_of(function, self.name)

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`.

        Raises:
            FeatureError: the function does not return a tensor (B,), or cannot be traced into a graph.
        """
        inputs = {"image": image, "mask": mask}
        if "spacing" in (*self._positional, *self._by_keyword):
            axes = len(image.shape) - 2
            shape = [tf.shape(image)[0], axes]
            inputs["spacing"] = tf.broadcast_to(axis_spacing(spacing, axes, image.dtype), shape)
        try:
            value = self.function(
                *(inputs[name] for name in self._positional),
                **{name: inputs[name] for name in self._by_keyword},
            )
        except (NotImplementedError, TypeError, AttributeError) as error:
            # What TensorFlow raises if NumPy, or Python's if and float, meet a tensor without a value.
            if not re.search(
                r"symbolic.*Tensor|Tensor' object|Tensor object has no", str(error), re.IGNORECASE
            ):
                raise
            raise FeatureError(
                f"{self._not_in_tensorflow()} TensorFlow says: {_first_sentence(error)}"
            ) from error
        if not tf.is_tensor(value):
            raise FeatureError(
                f"{self._not_in_tensorflow()} Received: a value of type {type(value).__name__}."
            )
        if value.shape.rank != 1:
            raise FeatureError(
                f"Feature {self.name!r} must return one number per sample, shape (B,). Received: "
                f"shape={tuple(value.shape)}. Sum or average over the axes {axes_of_sample(image)}."
            )
        return value

    def get_config(self) -> dict[str, Any]:
        """Keras serialisation.

        Raises:
            FeatureError: the function is not registered, so a saved model could not find it again.
        """
        registered = _registered_name(self.function)
        if registered is None:
            raise FeatureError(
                f"Feature {self.name!r} cannot be saved: decorate its function with "
                "@keras.saving.register_keras_serializable(package=...). Lambdas and partial functions "
                "cannot be saved."
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

    def __repr__(self) -> str:
        return f"AutodiffFeature({getattr(self.function, '__name__', self.function)}, name={self.name!r})"

    def _not_in_tensorflow(self) -> str:
        return (
            f"Feature {self.name!r} is not a TensorFlow function, so it has no gradient. Write it with "
            "TensorFlow operations (tf.reduce_mean instead of np.mean, tf.where instead of if), or give "
            "gradients that you have computed yourself to fgf_keras.alignment."
        )


def _name_of(function: Callable[..., Any]) -> str:
    """The name of a function, also of one inside functools.partial, or of the class of a callable object."""
    inner = getattr(function, "func", function)
    name = getattr(inner, "__name__", None) or type(inner).__name__
    if name == "<lambda>":
        raise FeatureError(
            "A lambda has no name for logs and tables. Give it one, "
            "fgf_keras.AutodiffFeature(function, name='contrast'), or define it with def."
        )
    return str(name)


def _inputs_of(function: Callable[..., Any], name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of image, mask and spacing a function takes: those given in order, and those given by keyword."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # functions written in C have no signature
        return _INPUTS[:2], ()
    required = [p for p in parameters if p.default is p.empty]
    in_order = [p for p in required if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    # Parameters mean what their place says, unless they bear the name of another input.
    positional = [p.name if p.name in _INPUTS else meaning for p, meaning in zip(in_order, _INPUTS)]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        positional += _INPUTS[len(positional) : 2]
    by_keyword = [
        p.name
        for p in parameters
        if p.name in _INPUTS and p not in in_order and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    inputs = [*positional, *by_keyword]
    missing = in_order[3:] + [p for p in required if p.kind is p.KEYWORD_ONLY and p.name not in by_keyword]
    if missing or "image" not in inputs or len(set(inputs)) < len(inputs):
        raise FeatureError(
            f"Feature {name!r} must be a function of {_SIGNATURES}. Received: a function of "
            f"({', '.join(map(str, parameters))}). Set other arguments with functools.partial."
        )
    return tuple(positional), tuple(by_keyword)


def _registered_name(function: Callable[..., Any]) -> str | None:
    """The name under which Keras finds a function again; None if it is not registered."""
    try:
        name = keras.saving.get_registered_name(function)
    except (AttributeError, TypeError):  # objects and partial functions have no name, or no hash
        return None
    return name if keras.saving.get_registered_object(name) is function else None


def _first_sentence(error: Exception) -> str:
    return str(error).split(". ")[0].rstrip(".") + "."
