"""Refuse Keras backends other than TensorFlow before Keras is imported, and import TensorFlow quietly."""

import json
import os
import sys
import tempfile
from pathlib import Path

from fgf_keras.errors import BackendError


def require_tensorflow_backend() -> None:
    """Raise `BackendError` unless Keras runs, or will run, on TensorFlow.

    Looks in the same places as Keras, in the same order: the module if it is already imported, the
    environment variable `KERAS_BACKEND`, then `keras.json`.
    """
    backend, where = _configured_backend()
    if backend != "tensorflow":
        raise BackendError(
            f"fgf_keras needs Keras on the TensorFlow backend. Received: backend={backend!r} ({where}). "
            "Set KERAS_BACKEND=tensorflow before Python starts."
        )


def import_tensorflow() -> None:
    """Import TensorFlow without its banners about missing CUDA drivers, which no log level silences.

    Native code writes them straight to file descriptor 2. What is captured there is shown if the import
    fails.

    Raises:
        BackendError: Keras is configured for another backend.
    """
    require_tensorflow_backend()
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as output:
        os.dup2(output.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            output.seek(0)
            os.write(stderr, output.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _configured_backend() -> tuple[str, str]:
    if "keras" in sys.modules and hasattr(sys.modules["keras"], "config"):
        return sys.modules["keras"].config.backend(), "Keras is imported already"
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "environment variable KERAS_BACKEND"
    file = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "keras.json"
    try:
        return json.loads(file.read_text(encoding="utf-8")).get(
            "backend", "tensorflow"
        ), "the file keras.json in Keras's home"
    except (OSError, ValueError):
        return "tensorflow", "default"
