"""Alignment against accuracy over a grid of reward weights, and the largest weight that costs nothing."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fgf_keras.config import Config
from fgf_keras.results.columns import QUANTITIES, share_column
from fgf_keras.results.protocol import averaging
from fgf_keras.results.resampled import resampled_mean

ACCURACIES = ("auc", "balanced_accuracy")


def trade_off_table(config: Config, trials: pd.DataFrame) -> pd.DataFrame:
    """One row per arm of a sweep, from a `trial_table`.

    Columns: arm, kind, weight; failed (trials without a result); mean, <metric>_low and <metric>_high over
    splits of AUC, balanced accuracy, S_joint and F_joint on the first support that is evaluated; auc_change,
    auc_change_low and auc_change_high (paired with the baseline); pareto: no other arm is better in mean AUC
    or mean S_joint without being worse in the other.
    """
    over_splits = averaging(trials, config.evaluate.confidence)
    support = config.evaluate.support[0]
    metrics = {name: name for name in ACCURACIES}
    metrics |= {f"{kind}_joint": share_column(support, kind, "joint") for kind in QUANTITIES}
    by_arm = {name: rows.set_index("repeat") for name, rows in trials.groupby("arm")}
    rows = []
    for arm in config.arms:
        of_arm = by_arm[arm.name]
        weight = 0.0 if arm.reward.kind == "none" else arm.reward.weight
        row = {"arm": arm.name, "kind": arm.reward.kind, "weight": weight}
        row["failed"] = int(of_arm["auc"].isna().sum())
        for name, column in metrics.items():
            row |= resampled_mean(of_arm[column], **over_splits).named(name)
        row |= resampled_mean(of_arm["auc"] - by_arm["baseline"]["auc"], **over_splits).named("auc_change")
        rows.append(row)
    table = pd.DataFrame(rows)
    table["pareto"] = pareto_front(table[["auc", "S_joint"]].to_numpy())
    return table


def pareto_front(points: ArrayLike) -> np.ndarray:
    """Which of the points (N, 2) no other point beats in one coordinate without losing in the other.

    A point with NaN is none of them.
    """
    points = np.asarray(points, np.float64)
    defined = ~np.isnan(points).any(axis=1)
    coordinates = np.where(defined[:, None], points, -np.inf)
    no_worse = (coordinates[:, None] >= coordinates[None]).all(axis=2)
    better = (coordinates[:, None] > coordinates[None]).any(axis=2)
    return defined & ~(no_worse & better).any(axis=0)


def largest_weights(table: pd.DataFrame, tolerance: float) -> dict[str, str | None]:
    """For each kind, the arm with the largest weight whose mean loss of AUC is at most `tolerance`.

    A weight with a failed trial is not chosen. None where every weight of a kind loses more.
    """
    chosen = {}
    for kind, rows in table[table["kind"] != "none"].groupby("kind", sort=False):
        # A little more than the tolerance, so that 0.02 in binary is within 0.02.
        within = rows[(rows["auc_change"] >= -tolerance - 1e-9) & (rows["failed"] == 0)]
        chosen[kind] = within.loc[within["weight"].idxmax(), "arm"] if len(within) else None
    return chosen
