"""What a human sees in an image: the value of a feature and its gradient, one family a file.

All families are imported here, so that a saved model that holds any of them can be loaded.
"""

from fgf_keras._backend import require_tensorflow_backend

require_tensorflow_backend()

from fgf_keras.features.autodiff import AutodiffFeature
from fgf_keras.features.base import Feature
from fgf_keras.features.brightness import Brightness
from fgf_keras.features.extent import Extent
from fgf_keras.features.linear_noise import LinearNoise
from fgf_keras.features.log_aspect_ratio import LogAspectRatio

__all__ = ["AutodiffFeature", "Brightness", "Extent", "Feature", "LinearNoise", "LogAspectRatio"]
