"""Registries of the features, rewards, sources, nulls and steps that a configuration can name.

Besides these names, `module:name` stands for anything that can be imported from the working directory of the
command. Nothing is imported before it is used.
"""

import importlib
from typing import Any

from fgf_keras.config.faults import choices

FEATURES = {
    "brightness": "fgf_keras.features.brightness:Brightness",
    "extent": "fgf_keras.features.extent:Extent",
    "log_aspect_ratio": "fgf_keras.features.log_aspect_ratio:LogAspectRatio",
    "noise": "fgf_keras.features.linear_noise:LinearNoise",
    "elongation": "fgf_keras.features.elongation:Elongation",
    "flatness": "fgf_keras.features.flatness:Flatness",
    "core_contrast": "fgf_keras.features.core_contrast:CoreContrast",
}
REWARDS = {
    "none": "fgf_keras.models.rewards:NoReward",
    "sum": "fgf_keras.models.rewards:SumReward",
    "joint": "fgf_keras.models.rewards:JointReward",
    "signed": "fgf_keras.models.rewards:SignedReward",
    "distil": "fgf_keras.models.rewards:DistilReward",
    "flow": "fgf_keras.models.rewards:FlowReward",
}
SOURCES = {
    "phantom": "fgf_keras.data.phantom.source:PhantomSource",
    "png": "fgf_keras.data.png:PngSource",
    "dicom": "fgf_keras.data.prepared.cohort:PreparedSource",
    "volumes": "fgf_keras.data.prepared.cohort:PreparedSource",
    "prepared": "fgf_keras.data.prepared.cohort:StoreSource",
}
NULLS = {
    "white": "fgf_keras.nulls.kinds:White",
    "smooth": "fgf_keras.nulls.kinds:Smooth",
    "matched": "fgf_keras.nulls.kinds:Matched",
    "permutation": "fgf_keras.nulls.permutation:Permutation",
}
STEPS = {
    "midpoint": "fgf_keras.flow.step:Midpoint",
}


def named(registry: dict[str, str], name: str) -> Any:
    """Import the object that a name stands for.

    Args:
        registry: one of the registries of this file.
        name: a name of the registry, or `module:name`.

    Raises:
        ImportError: the module does not exist, or has nothing of that name.
    """
    module, _, attribute = registry.get(name, name).partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError as error:
        raise ImportError(str(error)) from error


def named_class(registry: dict[str, str], name: str, base: type) -> type:
    """Import the class that a name stands for.

    Args:
        registry, name: see `named`.
        base: the required base class.

    Raises:
        ValueError: it cannot be imported, or is not a subclass of `base`.
    """
    if name not in registry and ":" not in name:
        raise ValueError(unknown(registry, name))
    try:
        obj = named(registry, name)
    except ImportError as error:
        raise ValueError(f"{name!r} cannot be imported: {error}") from error
    if not (isinstance(obj, type) and issubclass(obj, base)):
        raise ValueError(f"{name!r} is not a subclass of {base.__module__}.{base.__name__}")
    return obj


def check_name(registry: dict[str, str], name: str) -> str:
    """Return a valid name unchanged.

    Raises:
        ValueError: it is neither in the registry nor of the form `module:name`.
    """
    if name not in registry and ":" not in name:
        raise ValueError(unknown(registry, name))
    return name


def unknown(registry: dict[str, str], name: str) -> str:
    """A message about an unknown name."""
    return f"{choices(name, registry)}, or 'module:name' of your own"
