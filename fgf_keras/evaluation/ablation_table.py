"""What each feature is worth: its shares of what the model does, and what goes when its reward goes."""

import pandas as pd
import rich.box
import rich.table

from fgf_keras.evaluation.protocol_table import averaging
from fgf_keras.evaluation.resampled_difference import resampled_mean

SHARES = ("unique", "shapley")
# What is shown of a row, with its heading.
SHOWN = {
    "unique": "unique share",
    "shapley": "Shapley share",
    "without_reward_S_feature": "S of it",
    "without_reward_S_joint": "joint S",
    "without_reward_auc": "AUC",
}


def ablation_table(
    trials: pd.DataFrame, patients: dict, *, split: str, arm: str, features, supports, confidence: float
) -> pd.DataFrame:
    """A row a support and feature, for an arm beside those without each feature in the reward.

    Columns: support, feature; unique and shapley, the shares of the feature in the joint S of `arm` (what is
    lost when it is left out of the measure, and its part of the sum), with _low, _high and _left_out, the
    patients for whom they are undefined; then the paired change when the feature is left out of the reward,
    of S_feature, S_joint and auc, each with _low and _high.

    Args:
        trials: a `trial_table`, with the arms `without_<feature>`.
        patients: tables of patients by (name of the split of the cohort, arm), as patients.csv holds them.
        split: which part of each.
        arm: the arm that features are left out of.
        features: their names.
        supports: where gradients are compared.
        confidence: of the intervals.
    """
    over_splits = averaging(trials, confidence)
    by_arm = {name: rows.set_index("repeat") for name, rows in trials.groupby("arm")}
    own = [table[table["split"] == split] for (_, name), table in patients.items() if name == arm]
    rows = []
    for support in supports:
        for feature in features:
            row = {"support": support, "feature": feature}
            for share in SHARES:
                columns = [table[f"{support}.{share}_{feature}"] for table in own]
                row |= resampled_mean([column.mean() for column in columns], **over_splits).named(share)
                row[f"{share}_left_out"] = int(sum(column.isna().sum() for column in columns))
            without = by_arm[f"without_{feature}"]
            for name, figure in (
                ("S_feature", f"{support}.S_{feature}"),
                ("S_joint", f"{support}.S_joint"),
                ("auc", "auc"),
            ):
                change = without[figure] - by_arm[arm][figure]
                row |= resampled_mean(change, **over_splits).named(f"without_reward_{name}")
            rows.append(row)
    return pd.DataFrame(rows)


def ablation_terminal(table: pd.DataFrame, arm: str) -> rich.table.Table:
    """The table for a terminal."""
    shown = rich.table.Table(
        box=rich.box.SIMPLE_HEAD,
        title=f"features of {arm}: shares of joint S, and what changes without each in the reward",
        title_justify="left",
    )
    for name in ("support", "feature"):
        shown.add_column(name)
    for name in (*SHOWN.values(), "patients left out"):
        shown.add_column(name, justify="right", overflow="fold")
    for _, row in table.iterrows():
        cells = [f"{row[n]:.3f}\n[{row[f'{n}_low']:.3f}, {row[f'{n}_high']:.3f}]" for n in SHOWN]
        shown.add_row(row["support"], row["feature"], *cells, str(row["unique_left_out"]))
    return shown
