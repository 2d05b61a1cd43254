"""How a name becomes a feature."""

import inspect
from typing import Any

from fgf_keras.config.named import FEATURES, named
from fgf_keras.errors import FeatureError
from fgf_keras.features.autodiff import AutodiffFeature
from fgf_keras.features.base import Feature


def feature_of(name: str, *, function: str | None = None, **settings: Any) -> Feature:
    """A feature by its name.

    Args:
        name: one of `config.named.FEATURES`, or any where `function` is given.
        function: `module:name` of a TensorFlow function of (image, mask), which is differentiated
            automatically, or of a subclass of `Feature`.
        settings: of the feature's class.

    Raises:
        FeatureError: `function` cannot be imported, or is not registered with Keras and cannot be saved.
    """
    if function is None:
        return named(FEATURES, name)(name=name, **settings)
    try:
        measured = named({}, function)
    except ImportError as error:
        raise FeatureError(
            f"Feature {name!r} is the function {function!r}, which cannot be imported: {error}. Give "
            "module:name of a function or of a subclass of Feature on Python's path."
        ) from error
    if inspect.isclass(measured) and issubclass(measured, Feature):
        return measured(name=name, **settings)
    feature = AutodiffFeature(measured, name=name)
    # A run saves its model: what cannot be saved is refused before the training, not after it.
    feature.get_config()
    return feature
