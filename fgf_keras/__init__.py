"""Feature gradient flow: how much of what an image classifier does can be put in words a human chose."""

import logging
from typing import Any

import lazy_loader

from fgf_keras._backend import require_tensorflow_backend
from fgf_keras._version import __version__ as __version__

logging.getLogger(__name__).addHandler(logging.NullHandler())

# The public names are listed in __init__.pyi. They are loaded on first use, so that code that does not need
# TensorFlow does not wait for it.
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in __all__:
        require_tensorflow_backend()
    return _load(name)
