"""Refuses Keras backends other than TensorFlow before Keras is imported."""

import json
import os
import sys
from pathlib import Path

from fgf_keras.errors import BackendError


def require_tensorflow_backend():
    """Raise `BackendError` unless Keras is, or will be, on TensorFlow.

    Looks where Keras looks, in its order: the module if it is imported already, the environment variable
    `KERAS_BACKEND`, then `keras.json`.
    """
    backend, where = _configured_backend()
    if backend != "tensorflow":
        raise BackendError(
            f"fgf_keras needs Keras on the TensorFlow backend. Received: backend={backend!r} ({where}). "
            "Set KERAS_BACKEND=tensorflow before Python starts."
        )


def _configured_backend():
    if "keras" in sys.modules and hasattr(sys.modules["keras"], "config"):
        return sys.modules["keras"].config.backend(), "Keras is imported already"
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "environment variable KERAS_BACKEND"
    file = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "keras.json"
    try:
        return json.loads(file.read_text()).get(
            "backend", "tensorflow"
        ), "the file keras.json in Keras's home"
    except (OSError, ValueError):
        return "tensorflow", "default"
