"""The clinical part of a network at the start of its training: a logistic regression."""

import numpy as np

from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.models.late_fusion import LateFusion
from fgf_keras.results.regression import fitted_regression


def start_clinical_part(classifier: object, config: Config, cohort: Cohort, training: np.ndarray) -> None:
    """Give a linear clinical part the weights of a regression on the training patients, if that is asked for.

    The regression is weighted by class like the loss, unless `train.imbalance` is none. Other classifiers are
    left as they are.

    Args:
        classifier: of the model.
        config: `model.clinical_start` says whether.
        cohort: with an encoding.
        training: positions of the training patients.
    """
    if not isinstance(classifier, LateFusion) or config.model.clinical_start == "zero":
        return
    balanced = config.train.imbalance != "none"
    values = np.asarray(cohort.inputs["clinical"][training], np.float64)
    labels = cohort.labels[training]
    # The encoding has standardised what is a number.
    model = fitted_regression(values, labels, seed=config.seed, balanced=balanced, standardise=False)
    classifier.clinical_part.layers[-1].set_weights([model.slopes, model.offset])
