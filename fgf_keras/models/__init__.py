"""Classifiers and what is measured on them: input gradients, alignment, the rewarded model.

What a saved model may hold is imported here, so that it can be loaded.
"""

from fgf_keras._backend import require_tensorflow_backend

require_tensorflow_backend()

from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.average_pooling import AveragePooling
from fgf_keras.models.convolution import Convolution
from fgf_keras.models.measure import AlignmentMeasure
from fgf_keras.models.paper_cnn import paper_cnn

__all__ = ["AlignmentMeasure", "AlignmentModel", "AveragePooling", "Convolution", "paper_cnn"]
