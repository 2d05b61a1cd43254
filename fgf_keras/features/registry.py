"""Features by the names that a configuration gives them."""

import inspect
from typing import Any

from fgf_keras.config.named import FEATURES, named
from fgf_keras.errors import FeatureError
from fgf_keras.features.autodiff import AutodiffFeature
from fgf_keras.features.base import Feature


def feature_of(name: str, *, function: str | None = None, **settings: Any) -> Feature:
    """The feature with a given name.

    Args:
        name: one of `config.named.FEATURES`, or any name if `function` is given.
        function: `module:name` of a TensorFlow function of (image, mask), which is differentiated
            automatically, or of a subclass of `Feature`.
        settings: keyword arguments of the feature's class.

    Raises:
        FeatureError: `function` cannot be imported, or is not registered with Keras and cannot be saved.
    """
    if function is None:
        return named(FEATURES, name)(name=name, **settings)
    try:
        feature_or_function = named({}, function)
    except ImportError as error:
        raise FeatureError(
            f"Feature {name!r} is the function {function!r}, which cannot be imported: {error}. Give "
            "module:name of a function or of a subclass of Feature on Python's path."
        ) from error
    if inspect.isclass(feature_or_function) and issubclass(feature_or_function, Feature):
        return feature_or_function(name=name, **settings)
    feature = AutodiffFeature(feature_or_function, name=name)
    # A run saves its model, so a feature that cannot be saved is refused before the training, not after it.
    feature.get_config()
    return feature
