"""The contribution of each feature to joint S, and the effect of leaving out its reward."""

from fgf_keras.report.document import Section, Table, Text
from fgf_keras.results.interval import Interval
from fgf_keras.results.protocol import as_records
from fgf_keras.results.study import Study

# The columns of an `ablation_table` that are shown, with their headings.
_SHOWN = {
    "unique": "unique share",
    "shapley": "Shapley share",
    "without_reward_S_feature": "S of it",
    "without_reward_S_joint": "joint S",
    "without_reward_auc": "AUC",
}


def ablation_section(study: Study) -> Section:
    """The table of features with a lead sentence."""
    lead = Text(
        f"Shares of each feature in the joint S of {study.ablated}, and how figures change when the feature "
        "is left out of the reward."
    )
    return Section("ablation", "What each feature is worth", [lead, ablation_rows(study)])


def ablation_rows(study: Study) -> Table:
    """One row per feature and support."""
    rows = [
        [
            f"{row['feature'].replace('_', ' ')} ({row['support']})",
            *(str(Interval.of_row(row, name)) for name in _SHOWN),
            str(row["unique_left_out"]),
        ]
        for row in as_records(study.ablation)
    ]
    caption = (
        f"Features of {study.ablated}: mean over splits [interval]; the columns S of it, joint S and AUC are "
        "changes without the feature in the reward"
    )
    return Table(caption, ["feature", *_SHOWN.values(), "patients left out"], rows)
