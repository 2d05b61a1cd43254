"""How the label changes with each feature over training patients, for rewards that know which way is up."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fgf_keras.config.reward import RewardConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.errors import FeatureError
from fgf_keras.features.base import Feature
from fgf_keras.models.rewards import reward_class
from fgf_keras.training.feature_check import feature_values

# Inverse strengths of the regularisation among which cross-validation chooses, and its most folds.
STRENGTHS = np.logspace(-3, 1, 9)
_FOLDS = 5


def label_direction(
    values: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    how: Literal["correlation", "regression"] = "correlation",
    *,
    seed: int = 0,
) -> dict[str, float]:
    """How a two-class label changes with each feature.

    Args:
        values: of the features, (N, m), finite.
        labels: (N,) in {0, 1}.
        names: of the features.
        how: "correlation": Pearson's correlation of each feature with the label, in [-1, 1]. "regression":
            the coefficients of a logistic regression on all of them, in logits per unit of the feature:
            classes weighted equally, features standardised, and an L2 penalty chosen among `STRENGTHS` by
            stratified cross-validation (AUC).
        seed: of the folds.

    Returns:
        A number for each name.

    Raises:
        FeatureError: labels other than 0 and 1, a single class, or values that are not finite or constant.
    """
    values, labels = np.asarray(values, np.float64), np.asarray(labels)
    if values.shape != (len(labels), len(names)):
        raise FeatureError(
            f"values must be one row for each of {len(labels)} labels and one column for each of "
            f"{len(names)} features. Received: shape {values.shape}."
        )
    classes = np.unique(labels)
    if classes.tolist() != [0, 1]:
        raise FeatureError(
            f"The direction of a feature needs labels 0 and 1. Received: {classes.tolist()}. With more "
            "classes, use the reward 'sum' or 'joint'."
        )
    constant = [n for n, v in zip(names, values.T) if not np.isfinite(v).all() or not np.ptp(v) > 0]
    if constant:
        raise FeatureError(
            f"{', '.join(constant)} is constant or not a number over the training patients, so the label "
            "cannot change with it. Leave it out of the reward (reward.targets: ignore)."
        )
    if how == "correlation":
        found = [float(np.corrcoef(column, labels)[0, 1]) for column in values.T]
        return dict(zip(names, found))
    return {name: float(slope) for name, slope in zip(names, _slopes(values, labels, seed))}


def reward_direction(
    reward: RewardConfig, features: Sequence[Feature], cohort: Cohort, rows: np.ndarray, *, seed: int
) -> dict[str, float] | None:
    """The direction that a configured reward needs; None if it needs none.

    Args:
        reward: the group `reward`; a `direction` given there is returned as it is.
        features: those that the reward is on.
        cohort: patients.
        rows: positions of the training patients.
        seed: see `label_direction`.
    """
    how = reward_class(reward.kind).direction_from
    if not how or reward.direction is not None:
        return reward.direction
    aims = [f for f in features if reward.targets.get(f.name, "reward") == "reward"]
    if not aims:
        return None
    training = cohort.select(rows)
    values = np.stack([feature_values(feature, training) for feature in aims], axis=1)
    return label_direction(values, training.labels, [f.name for f in aims], how, seed=seed)


def _slopes(values: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """The coefficients per unit of each feature, (m,)."""
    regression = LogisticRegression(class_weight="balanced", max_iter=1000)
    model = make_pipeline(StandardScaler(), regression)
    folds = min(_FOLDS, int(np.bincount(labels).min()))
    # A single positive cannot be in two folds, and the default strength has to do.
    if folds > 1:
        splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
        grid = {"logisticregression__C": STRENGTHS}
        model = GridSearchCV(model, grid, cv=splits, scoring="roc_auc").fit(values, labels).best_estimator_
    model.fit(values, labels)
    return model[-1].coef_[0] / model[0].scale_
