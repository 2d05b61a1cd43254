"""Feature gradient flow: how much of what an image classifier does can be put in words a human chose."""

import importlib
import logging
from typing import TYPE_CHECKING

from fgf_keras._backend import require_tensorflow_backend
from fgf_keras._version import __version__

logging.getLogger(__name__).addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from fgf_keras.features.autodiff import AutodiffFeature as AutodiffFeature
    from fgf_keras.features.base import Feature as Feature
    from fgf_keras.features.brightness import Brightness as Brightness
    from fgf_keras.features.extent import Extent as Extent
    from fgf_keras.features.linear_noise import LinearNoise as LinearNoise
    from fgf_keras.features.log_aspect_ratio import LogAspectRatio as LogAspectRatio
    from fgf_keras.flow.status import FlowStatus as FlowStatus
    from fgf_keras.measure.explain import explain as explain
    from fgf_keras.measure.explanation import Explanation as Explanation
    from fgf_keras.models.alignment_model import AlignmentModel as AlignmentModel
    from fgf_keras.models.paper_cnn import paper_cnn as paper_cnn
    from fgf_keras.serving.export import export_saved_model as export_saved_model
    from fgf_keras.serving.load import load_saved_model as load_saved_model
    from fgf_keras.training.alignment_callback import AlignmentCallback as AlignmentCallback

# Loaded on first use, so that what needs no TensorFlow does not wait for it.
_HOME = {
    "AlignmentCallback": "fgf_keras.training.alignment_callback",
    "AlignmentModel": "fgf_keras.models.alignment_model",
    "AutodiffFeature": "fgf_keras.features.autodiff",
    "Brightness": "fgf_keras.features.brightness",
    "Explanation": "fgf_keras.measure.explanation",
    "Extent": "fgf_keras.features.extent",
    "Feature": "fgf_keras.features.base",
    "FlowStatus": "fgf_keras.flow.status",
    "LinearNoise": "fgf_keras.features.linear_noise",
    "LogAspectRatio": "fgf_keras.features.log_aspect_ratio",
    "explain": "fgf_keras.measure.explain",
    "export_saved_model": "fgf_keras.serving.export",
    "load_saved_model": "fgf_keras.serving.load",
    "paper_cnn": "fgf_keras.models.paper_cnn",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name in _HOME:
        require_tensorflow_backend()
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
