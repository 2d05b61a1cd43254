"""Where slices come from: cohorts, splits of patients, and the batches that training reads."""

from fgf_keras.data.cohort import Cohort
from fgf_keras.data.dataset import class_weights, make_dataset
from fgf_keras.data.load import load_cohort
from fgf_keras.data.phantom import phantom_cohort
from fgf_keras.data.png import png_cohort
from fgf_keras.data.splits import load_splits, save_splits, stratified_splits

__all__ = [
    "Cohort",
    "class_weights",
    "load_cohort",
    "load_splits",
    "make_dataset",
    "phantom_cohort",
    "png_cohort",
    "save_splits",
    "stratified_splits",
]
