"""Features that a human can name: their values and their gradients, one family per file.

All families are imported here, so that a saved model that holds any of them can be loaded.
"""

from fgf_keras._backend import require_tensorflow_backend

require_tensorflow_backend()

from fgf_keras.config.named import FEATURES, named
from fgf_keras.features.autodiff import AutodiffFeature
from fgf_keras.features.base import Feature
from fgf_keras.features.brightness import Brightness
from fgf_keras.features.columns import Column, LinearCombination
from fgf_keras.features.core_contrast import CoreContrast
from fgf_keras.features.elongation import Elongation
from fgf_keras.features.extent import Extent
from fgf_keras.features.flatness import Flatness
from fgf_keras.features.linear_noise import LinearNoise
from fgf_keras.features.log_aspect_ratio import LogAspectRatio

__all__ = [
    "AutodiffFeature",
    "Brightness",
    "Column",
    "CoreContrast",
    "Elongation",
    "Extent",
    "Feature",
    "Flatness",
    "LinearCombination",
    "LinearNoise",
    "LogAspectRatio",
]

# A family that only the registry names.
for _name in FEATURES:
    named(FEATURES, _name)
