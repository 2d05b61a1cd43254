"""The environment of a run: enough to repeat it, nothing that identifies a person or a machine."""

import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras._version import __version__
from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort

_PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn")


def environment(config: Config, cohort: Cohort, splits: dict[str, np.ndarray]) -> dict[str, Any]:
    """Versions, devices, seed, and the fingerprint and counts of the data."""
    return {
        "fgf_keras": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in _PACKAGES},
        "devices": [device.device_type for device in tf.config.list_physical_devices()],
        "seed": config.seed,
        "data": cohort.description(splits),
    }
