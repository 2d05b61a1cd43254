"""The contribution of each feature: its shares of joint S, and the effect of leaving out its reward."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from fgf_keras.results import resampled
from fgf_keras.results.columns import share_column
from fgf_keras.results.protocol import averaging

SHARES = ("unique", "shapley")


def ablation_table(
    trials: pd.DataFrame,
    patients: list[Any],
    *,
    arm: str,
    features: Sequence[str],
    supports: Sequence[str],
    confidence: float,
) -> pd.DataFrame:
    """One row per support and feature: an arm compared with arms that leave out one rewarded feature each.

    Columns: support, feature; unique and shapley, the shares of the feature in the joint S of `arm` (the loss
    when it is left out of the measure, and its part of the sum), with _low, _high and _left_out, the number
    of patients for whom they are undefined; then the paired changes of S_feature, S_joint and auc when the
    feature is left out of the reward, each with _low and _high.

    Args:
        trials: a `trial_table`, with the arms `without_<feature>`.
        patients: rows of patients.csv, one table per trial of the arm.
        arm: name of the arm that features are left out of.
        features: names of the features.
        supports: where gradients are compared.
        confidence: of the intervals.
    """
    over_splits = averaging(trials, confidence)
    by_arm = {name: rows.set_index("repeat") for name, rows in trials.groupby("arm")}
    rows = []
    for support in supports:
        for feature in features:
            row: dict[str, Any] = {"support": support, "feature": feature}
            for share in SHARES:
                columns = [table[share_column(support, share, feature)] for table in patients]
                row |= resampled.resampled_mean(
                    [column.mean() for column in columns], within=resampled.SHARES, **over_splits
                ).named(share)
                row[f"{share}_left_out"] = int(sum(column.isna().sum() for column in columns))
            without = by_arm[f"without_{feature}"]
            for name, metric in (
                ("S_feature", share_column(support, "S", feature)),
                ("S_joint", share_column(support, "S", "joint")),
                ("auc", "auc"),
            ):
                change = without[metric] - by_arm[arm][metric]
                row |= resampled.resampled_mean(change, within=resampled.DIFFERENCES, **over_splits).named(
                    f"without_reward_{name}"
                )
            rows.append(row)
    return pd.DataFrame(rows)
