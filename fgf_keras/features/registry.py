"""Features by the names that a configuration gives them, and by all else that a user may give."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fgf_keras.config.faults import choices
from fgf_keras.config.named import FEATURES, named
from fgf_keras.errors import FeatureError
from fgf_keras.features.autodiff import AutodiffFeature
from fgf_keras.features.base import Feature, unique_names

# One thing that stands for a feature: a name, a feature, its class, or a function of (image, mask).
FeatureLike = str | Feature | type[Feature] | Callable[..., Any]


def features_of(features: FeatureLike | Iterable[FeatureLike]) -> list[Feature]:
    """The features that a user means.

    Args:
        features: one of these, or a sequence of them: a name ("brightness", "extent", "log_aspect_ratio",
            "elongation", "flatness", "noise"), a `Feature`, or a function of (image), (image, mask) or
            (image, mask, spacing) written in TensorFlow, see `AutodiffFeature`. Classes of features that need
            no arguments stand for an instance.

    Returns:
        At least one feature, each with a name of its own.

    Raises:
        FeatureError: a name is unknown, a class needs arguments, a function has no usable name or takes
            something else, something is none of these, or two features share a name.
    """
    if isinstance(features, Mapping):
        raise FeatureError(
            f"Features are a list, not a mapping. Received: {features!r}. To name a function, write "
            "AutodiffFeature(function, name='contrast')."
        )
    if isinstance(features, str | Feature) or callable(features) or not isinstance(features, Iterable):
        features = [features]
    instances = [_one(feature) for feature in features]
    unique_names(instances)
    return instances


def _one(feature: Any) -> Feature:
    if isinstance(feature, Feature):
        return feature
    if isinstance(feature, str):
        if feature not in FEATURES:
            message = choices(feature, FEATURES)
            raise FeatureError(
                f"Feature {message}. A feature of your own is given as a function or a Feature."
            )
        return feature_of(feature)
    if inspect.isclass(feature):
        return _instance(feature)
    if callable(feature):
        return AutodiffFeature(feature)
    raise FeatureError(
        "A feature is a name, an instance of fgf_keras.Feature or a function of (image, mask). Received: "
        f"{feature!r} (of type {type(feature).__name__})."
    )


def _instance(cls: type) -> Feature:
    if not issubclass(cls, Feature):
        raise FeatureError(f"The class {cls.__name__} is not a subclass of fgf_keras.Feature.")
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise FeatureError(
            f"{cls.__name__} is a class and needs arguments ({error}). Give an instance: {cls.__name__}(...)."
        ) from error
    try:
        return cls()
    except FeatureError as error:
        raise FeatureError(
            f"{cls.__name__} is a class. Give an instance: {cls.__name__}(...). {error}"
        ) from error


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
