"""Classifiers: the model trained with a reward, the paper's network, input gradients.

All classes that a saved model may contain are imported here, so that it can be loaded.
"""

from fgf_keras._backend import require_tensorflow_backend

require_tensorflow_backend()

from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.late_fusion import LateFusion
from fgf_keras.models.paper_cnn import paper_cnn
from fgf_keras.models.window.average_pooling import AveragePooling
from fgf_keras.models.window.convolution import Convolution

__all__ = ["AlignmentModel", "AveragePooling", "Convolution", "LateFusion", "paper_cnn"]
