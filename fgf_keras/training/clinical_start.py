"""The clinical part of a network at the start of its training: a logistic regression."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold

from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.models.late_fusion import LateFusion

# Strengths of the regularisation to choose from, and the most folds to choose by.
STRENGTHS, FOLDS = np.logspace(-3, 2, 11), 5


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
    weights = regression(
        cohort.inputs["clinical"][training], cohort.labels[training], balanced=balanced, seed=config.seed
    )
    classifier.clinical_part.layers[-1].set_weights(weights)


def regression(
    values: np.ndarray, labels: np.ndarray, *, balanced: bool, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (k, 1) or (k, K) and intercept of a logistic regression.

    C is the one of `STRENGTHS` with the smallest cross-validated log loss, in which classes weigh the same if
    they do in the regression; 1 where a class has one patient.

    Args:
        values: (n, k) standardised columns.
        labels: (n,).
        balanced: whether classes weigh the same.
        seed: of the folds.
    """
    weight = "balanced" if balanced else None
    scoring = _balanced_score if balanced else "neg_log_loss"
    folds = min(FOLDS, int(np.bincount(labels).min()))
    model: LogisticRegression = LogisticRegression(class_weight=weight, max_iter=1000)
    if folds >= 2:
        split = StratifiedKFold(folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # Arguments and defaults of this class change between versions.
            warnings.simplefilter("ignore", (FutureWarning))
            warnings.simplefilter("ignore", ConvergenceWarning)
            chosen = LogisticRegressionCV(
                Cs=STRENGTHS, cv=split, class_weight=weight, scoring=scoring, max_iter=1000
            ).fit(values, labels)
        model = LogisticRegression(C=float(np.ravel(chosen.C_)[0]), class_weight=weight, max_iter=1000)
    model.fit(values, labels)
    return model.coef_.T, model.intercept_


def _balanced_score(model: LogisticRegression, values: np.ndarray, labels: np.ndarray) -> float:
    """Mean log probability of the right class, averaged over the classes."""
    own = np.searchsorted(model.classes_, labels)
    right = model.predict_log_proba(values)[np.arange(len(labels)), own]
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
