"""How the label changes with each feature over training patients, for rewards that know which way is up."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fgf_keras.config.reward import RewardConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.errors import FeatureError
from fgf_keras.features.base import Feature
from fgf_keras.models.rewards import reward_class
from fgf_keras.results.regression import fitted_regression
from fgf_keras.training.feature_check import defined_values


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
        values: of the features, (N, m); NaN where one is not defined, which says nothing about its direction.
        labels: (N,) in {0, 1}.
        names: of the features.
        how: "correlation": Pearson's correlation of each feature with the label, in [-1, 1]. "regression":
            the slopes of a class-weighted logistic regression on all of them, in logits per unit of the
            feature, see `fitted_regression`.
        seed: of the folds.

    Returns:
        A number for each name.

    Raises:
        FeatureError: labels other than 0 and 1, or of a single class where a feature is defined; values that
            are constant or infinite.
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
    _require_varying(values, names)
    _require_two_classes(values, labels, names)
    if how == "correlation":
        return {name: _correlation(column, labels) for name, column in zip(names, values.T)}
    slopes = fitted_regression(values, labels, seed=seed).slopes[:, 0]
    return {name: float(slope) for name, slope in zip(names, slopes)}


def reward_direction(
    reward: RewardConfig, features: Sequence[Feature], cohort: Cohort, rows: np.ndarray, *, seed: int
) -> dict[str, float] | None:
    """The direction that a configured reward needs; None if it needs none.

    Args:
        reward: the group `reward`; a `direction` given there is returned, if `direction_per` is "sd" divided
            by the standard deviations of the features over the training patients.
        features: those that the reward is on.
        cohort: patients.
        rows: positions of the training patients.
        seed: see `label_direction`.
    """
    how = reward_class(reward.kind).direction_from
    if not how or (reward.direction is not None and reward.direction_per == "unit"):
        return reward.direction
    aims = [f for f in features if reward.targets.get(f.name, "reward") == "reward"]
    if not aims:
        return None
    training = cohort.select(rows)
    names = [feature.name for feature in aims]
    values = np.stack([defined_values(feature, training) for feature in aims], axis=1)
    if reward.direction is None:
        return label_direction(values, training.labels, names, how, seed=seed)
    _require_varying(values, names)
    return {name: float(reward.direction[name] / sd) for name, sd in zip(names, np.nanstd(values, axis=0))}


def _correlation(values: np.ndarray, labels: np.ndarray) -> float:
    known = np.isfinite(values)
    return float(np.corrcoef(values[known], labels[known])[0, 1])


def _require_two_classes(values: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> None:
    """Among the patients in whom each feature is defined."""
    for name, column in zip(names, values.T):
        known = labels[~np.isnan(column)]
        if len(np.unique(known)) < 2:
            raise FeatureError(
                f"{name} is defined for {len(known)} training patients, all of one class, so the label "
                "cannot change with it. Leave it out of the reward (reward.targets: ignore)."
            )


def _require_varying(values: np.ndarray, names: Sequence[str]) -> None:
    """Among the patients in whom each feature is defined."""
    known = [column[~np.isnan(column)] for column in values.T]
    constant = [n for n, v in zip(names, known) if not (len(v) and np.isfinite(v).all() and np.ptp(v) > 0)]
    if constant:
        raise FeatureError(
            f"{', '.join(constant)} is constant, undefined or not a number over the training patients, so "
            "the label cannot change with it. Leave it out of the reward (reward.targets: ignore)."
        )
