"""Trade-off between alignment and accuracy over reward weights, and the largest weight without a loss."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fgf_keras.config import Config
from fgf_keras.results.columns import JOINT, QUANTITIES, share_column
from fgf_keras.results.protocol import averaging
from fgf_keras.results.resampled import DIFFERENCES, SHARES, resampled_mean

ACCURACIES = ("auc", "balanced_accuracy")


def trade_off_table(config: Config, trials: pd.DataFrame) -> pd.DataFrame:
    """One row per arm of a sweep, from a `trial_table`.

    Columns: arm, kind, weight; failed (number of failed trials); <metric>, <metric>_low and <metric>_high,
    the mean over splits and its interval, of AUC, balanced accuracy, S_joint and F_joint on the first
    support that is evaluated, and where features are penalised and none is rewarded also S_penalised and
    F_penalised, the mean of theirs; auc_change, auc_change_low and auc_change_high (paired with the
    baseline); pareto: no other arm is better in mean AUC or mean alignment without being worse in the other.
    Better is more S_joint, or less S_penalised: a penalty alone lowers the joint share, too, which is no
    loss.
    """
    over_splits = averaging(trials, config.evaluate.confidence)
    support = config.evaluate.support[0]
    metrics = {name: name for name in ACCURACIES}
    metrics |= {f"{kind}_joint": share_column(support, kind, JOINT) for kind in QUANTITIES}
    if penalised := penalised_features(config):
        left = {}
        for kind in QUANTITIES:
            columns = [share_column(support, kind, name) for name in penalised]
            left[f"{kind}_penalised"] = trials[columns].mean(axis=1, skipna=False)
        trials = trials.assign(**left)
        metrics |= {name: name for name in left}
    by_arm = {name: rows.set_index("repeat") for name, rows in trials.groupby("arm")}
    rows = []
    for arm in config.arms:
        arm_trials = by_arm[arm.name]
        weight = 0.0 if arm.reward.kind == "none" else arm.reward.weight
        row = {"arm": arm.name, "kind": arm.reward.kind, "weight": weight}
        row["failed"] = int(arm_trials["auc"].isna().sum())
        for name, column in metrics.items():
            row |= resampled_mean(arm_trials[column], within=SHARES, **over_splits).named(name)
        change = arm_trials["auc"] - by_arm["baseline"]["auc"]
        row |= resampled_mean(change, within=DIFFERENCES, **over_splits).named("auc_change")
        rows.append(row)
    table = pd.DataFrame(rows)
    wanted = -table["S_penalised"] if penalised else table["S_joint"]
    table["pareto"] = pareto_front(np.stack([table["auc"], wanted], axis=1))
    return table


def penalised_features(config: Config) -> list[str]:
    """The measured features that the arms of a sweep penalise, if they reward none."""
    measured = [feature.name for feature in config.features]
    reward = config.arms[-1].reward
    if reward.rewarded(measured):
        return []
    return [name for name in reward.penalised(measured) if name in measured]


def pareto_front(points: ArrayLike) -> np.ndarray:
    """Which of the points (N, 2) are on the Pareto front: no other point is better without a disadvantage.

    A point with NaN is never on the front.
    """
    points = np.asarray(points, np.float64)
    defined = ~np.isnan(points).any(axis=1)
    coordinates = np.where(defined[:, None], points, -np.inf)
    no_worse = (coordinates[:, None] >= coordinates[None]).all(axis=2)
    better = (coordinates[:, None] > coordinates[None]).any(axis=2)
    return defined & ~(no_worse & better).any(axis=0)


def largest_weights(table: pd.DataFrame, tolerance: float) -> dict[str, str | None]:
    """For each kind, the arm with the largest weight whose mean loss of AUC is at most `tolerance`.

    A weight with a failed trial is not chosen. None if every weight of a kind loses more.
    """
    arms = {}
    for kind, rows in table[table["kind"] != "none"].groupby("kind", sort=False):
        # Slightly more than the tolerance, so that a loss of 0.02 passes despite rounding.
        candidates = rows[(rows["auc_change"] >= -tolerance - 1e-9) & (rows["failed"] == 0)]
        arms[kind] = candidates.loc[candidates["weight"].idxmax(), "arm"] if len(candidates) else None
    return arms
