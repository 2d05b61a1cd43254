"""The environment of a run: enough to repeat it, nothing that identifies a person or a machine."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras._version import __version__
from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.files import now

_PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn")


def environment(config: Config, cohort: Cohort, splits: dict[str, np.ndarray]) -> dict[str, Any]:
    """Versions, date, devices, seed, and the fingerprint and counts of the data."""
    return {
        "fgf_keras": __version__,
        "commit": commit(),
        "date": now(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in _PACKAGES},
        "devices": [device.device_type for device in tf.config.list_physical_devices()],
        "seed": config.seed,
        "data": cohort.description(splits),
    }


def commit() -> str | None:
    """The commit of the code, with "+" where files differ from it; None if the package is no git checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head, changes = (
            subprocess.run(
                ["git", *argv], cwd=root, capture_output=True, text=True, check=True
            ).stdout.strip()
            for argv in (
                ("rev-parse", "--short=12", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no"),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + "+" * bool(changes)
