"""Logistic regression on a few columns, regularised as cross-validation says: a model to be read."""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

# Inverse strengths of the regularisation to choose from, the strongest first, and the one without a choice.
STRENGTHS = tuple(10.0**power for power in range(-4, 3))
UNCHOSEN = 0.1
FOLDS = 5


class Regression(NamedTuple):
    """A fitted logistic regression.

    Attributes:
        mean, sd: (k,), of the columns.
        coefficients: (k, 1) in logits per standard deviation; (k, K) for K > 2 classes.
        intercept: (1,) or (K,), at the mean.
        strength: C.
    """

    mean: np.ndarray
    sd: np.ndarray
    coefficients: np.ndarray
    intercept: np.ndarray
    strength: float

    @property
    def slopes(self) -> np.ndarray:
        """Coefficients in logits per unit of each column, (k, 1) or (k, K)."""
        return self.coefficients / self.sd[:, np.newaxis]

    @property
    def offset(self) -> np.ndarray:
        """Logits where all columns are 0, (1,) or (K,)."""
        return self.intercept - self.mean @ self.slopes


def fitted_regression(
    values: np.ndarray, labels: np.ndarray, *, seed: int, balanced: bool = True, standardise: bool = True
) -> Regression:
    """Fit a logistic regression with an L2 penalty.

    C is the one of `STRENGTHS` with the smallest log loss in stratified cross-validation, the smallest of
    several; `UNCHOSEN` where a class has one patient.

    Args:
        values: (N, k); an undefined value counts as the mean of its column.
        labels: (N,) in 0..K-1, with at least one patient of each class.
        seed: of the folds.
        balanced: whether all classes weigh the same, in the fit and in the loss that C is chosen by.
        standardise: whether to standardise the columns first, in every fold on its own. Otherwise the penalty
            is on coefficients per unit, which keeps those of rare categories (columns of 0 and 1) small.
    """
    strength = _chosen_strength(values, labels, seed, balanced, standardise)
    mean, sd = _moments(values, standardise)
    model = _model(_standardised(values, mean, sd), labels, strength, balanced)
    return Regression(mean, sd, model.coef_.T, model.intercept_, strength)


def _chosen_strength(
    values: np.ndarray, labels: np.ndarray, seed: int, balanced: bool, standardise: bool
) -> float:
    folds = min(FOLDS, int(np.bincount(labels).min()))
    if folds < 2:
        return UNCHOSEN
    losses = np.zeros(len(STRENGTHS))
    splitting = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for rest, fold in splitting.split(values, labels):
        mean, sd = _moments(values[rest], standardise)
        known, asked = (_standardised(values[rows], mean, sd) for rows in (rest, fold))
        for k, strength in enumerate(STRENGTHS):
            model = _model(known, labels[rest], strength, balanced)
            log_probability = model.predict_log_proba(asked)[np.arange(len(fold)), labels[fold]]
            of_class = [log_probability[labels[fold] == label] for label in np.unique(labels)]
            mean_loss = np.mean([-part.mean() for part in of_class]) if balanced else -log_probability.mean()
            losses[k] += mean_loss / folds
    return STRENGTHS[int(np.argmin(losses))]


def _model(values: np.ndarray, labels: np.ndarray, strength: float, balanced: bool) -> LogisticRegression:
    weight = "balanced" if balanced else None
    return LogisticRegression(C=strength, class_weight=weight, max_iter=1000, tol=1e-6).fit(values, labels)


def _moments(values: np.ndarray, standardise: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the defined values of each column; 0 and 1 where there are none."""
    if not standardise:
        return np.zeros(values.shape[1]), np.ones(values.shape[1])
    finite = np.isfinite(values)
    count = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, values, 0).sum(axis=0) / count
    sd = np.sqrt((np.where(finite, values - mean, 0) ** 2).sum(axis=0) / count)
    return mean, np.where(sd > 0, sd, 1.0)


def _standardised(values: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), (values - mean) / sd, 0.0)
