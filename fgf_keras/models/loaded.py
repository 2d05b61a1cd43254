"""Models of every kind as callables: what is at a path, and how each kind is called."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fgf_keras.errors import ModelError

# The method of an export that takes image·mask, as the network in it does, and the inputs that show one.
MASKED, _EXPORTED = "masked_classifier", {"image", "mask"}
_KERAS_FILES = (".keras", ".h5", ".hdf5")
# The endpoints of a SavedModel that are tried, in this order: Keras's own, and that of a server.
_ENDPOINT, _SIGNATURE = "serve", "serving_default"


def loaded(model: Any) -> tuple[Any, Callable[..., Any]]:
    """A model, which must be kept for as long as it is called, and it as a callable of its inputs.

    Args:
        model: a callable; what `tf.saved_model.load` or `fgf_keras.load_saved_model` returns; or the path of
            a `.keras` or `.h5` file or of a SavedModel (the folder of a version, or of several, of which
            the highest is loaded).

    Raises:
        ModelError: nothing at the path, something that cannot be loaded, or nothing that can be called.
    """
    if isinstance(model, (str, Path)):
        model = _from_path(Path(model))
    if _names_of(getattr(model, "signatures", {}).get(_SIGNATURE)) >= _EXPORTED:
        model = Export(model)
    return model, _callable_of(model)


def _callable_of(model: Any) -> Callable[..., Any]:
    if callable(getattr(model, MASKED, None)):
        return getattr(model, MASKED)
    if callable(model):
        return model
    if callable(getattr(model, _ENDPOINT, None)):
        return getattr(model, _ENDPOINT)
    signatures = dict(getattr(model, "signatures", {}))
    if _SIGNATURE in signatures or len(signatures) == 1:
        return signatures.get(_SIGNATURE) or next(iter(signatures.values()))
    if signatures:
        raise ModelError(
            f"The SavedModel has the signatures {', '.join(sorted(signatures))} and none is named "
            f"{_SIGNATURE!r}. Give one of them: Score(saved.signatures['…'])."
        )
    raise ModelError(
        "A model must be callable: a Keras model, a function, a layer, a SavedModel, or the path of one. "
        f"Received: {type(model).__name__}."
    )


class Export:
    """A SavedModel that `export_saved_model` wrote, as a classifier of image·mask.

    Attributes:
        features: names of its features, if they are known.
    """

    def __init__(self, saved: Any, features: Sequence[str] = ()) -> None:
        # A signature does not keep the variables that it uses.
        self._saved, self.features = saved, list(features)

    def masked_classifier(self, inputs: Any) -> tf.Tensor:
        """Logits of image·mask, (B,) or (B, K); with other inputs, of a dictionary of them and "image"."""
        inputs = dict(inputs) if isinstance(inputs, Mapping) else {"image": inputs}
        everywhere = tf.ones_like(inputs["image"][..., :1])
        return self._saved.signatures[_SIGNATURE](mask=everywhere, **inputs)["logit"]


def call_function(model: Callable[..., Any]) -> Callable[..., Any]:
    """A callable of (inputs, training) that passes to a model what it takes.

    `training` goes only to a model that takes it, and the signature of a SavedModel gets its inputs by name.
    """
    if isinstance(model, tf.types.experimental.ConcreteFunction):
        return _by_name(model)
    takes_training = _takes_training(model)

    def call(inputs: Any, training: bool) -> Any:
        return model(inputs, training=training) if takes_training else model(inputs)

    return call


def _from_path(path: Path) -> Any:
    if not path.exists():
        raise ModelError(f"There is no model at {str(path)!r}: the path does not exist.")
    try:
        if path.is_file():
            if path.suffix not in _KERAS_FILES:
                raise ModelError(
                    f"{str(path)!r} is not a model: files end in {', '.join(_KERAS_FILES)}, and a SavedModel "
                    "is a folder."
                )
            return keras.models.load_model(path, compile=False)
        return tf.saved_model.load(str(saved_model_folder(path)))
    except ModelError:
        raise
    except Exception as error:  # Keras and TensorFlow raise whatever they meet in a damaged file
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{str(path)!r} cannot be loaded as a model: {first}") from error


def saved_model_folder(path: Path) -> Path:
    """The folder of one version of a SavedModel: the path itself, or its version of the highest number."""
    if (path / "saved_model.pb").is_file():
        return path
    versions = sorted((child for child in path.iterdir() if child.name.isdigit()), key=lambda c: int(c.name))
    return versions[-1] if versions else path


def _names_of(function: Any) -> set[str]:
    """The names of the inputs of a signature; empty for None."""
    return set() if function is None else set(function.structured_input_signature[1])


def _by_name(function: Any) -> Callable[..., Any]:
    """A signature, whose inputs have names, as a callable of a dictionary or of the only one."""
    specs = function.structured_input_signature[1]

    def call(inputs: Any, training: bool) -> Any:
        del training
        if not specs:
            return function(inputs)
        inputs = inputs if isinstance(inputs, Mapping) else {next(iter(specs)): inputs}
        return function(**{name: _as_declared(value, specs.get(name)) for name, value in inputs.items()})

    return call


def _as_declared(value: Any, spec: Any) -> Any:
    """Integers in the type that a signature declares; what is not a number of that kind stays as it is."""
    both = spec is not None and value.dtype.is_integer and spec.dtype.is_integer
    return tf.cast(value, spec.dtype) if both else value


def _takes_training(model: Callable[..., Any]) -> bool:
    if isinstance(model, keras.layers.TFSMLayer):
        return False  # its call takes the argument, and passes it to an endpoint that may not
    function = model.call if isinstance(model, keras.Layer) else getattr(model, "python_function", model)
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # built-in, or restored from a SavedModel
        return False
    return "training" in parameters
