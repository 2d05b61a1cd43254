"""The column names of metrics in CSV files and tables: the only place that builds and parses them."""

from typing import NamedTuple

CLASSIFICATION = ("balanced_accuracy", "auc", "sensitivity", "specificity")
# S, pointwise alignment, and F, flow alignment.
QUANTITIES = ("S", "F")
# Partial shares, at the patient: they have no joint share, and may be undefined for some features alone.
PARTIAL = "partial"
JOINT, JOINT_MAGNITUDE = "joint", "joint_magnitude"


class Share(NamedTuple):
    """S, F or the partial share of a feature on a support.

    Attributes:
        support: where gradients are compared.
        quantity: "S", "F" or "partial".
        feature: its name, "joint" (squared), "joint_magnitude" or "noise".
    """

    support: str
    quantity: str
    feature: str


def share_column(support: str, quantity: str, feature: str) -> str:
    """The column of a share, `mask.S_brightness`; quantity may also be "unique" or "shapley"."""
    return f"{support}.{quantity}_{feature}"


def p_column(support: str, null: str, quantity: str, feature: str) -> str:
    """The column of patients.csv with the p-values of a quantity under a null, `mask.p_smooth_F_extent`."""
    return f"{support}.p_{null}_{'' if quantity == 'S' else f'{quantity}_'}{feature}"


def patient_column(support: str, name: str) -> str:
    """The column of patients.csv for a column of the explanation on a support: `mask.status`."""
    return f"{support}.{name}"


def share_of(column: str) -> Share | None:
    """The share that a column name from `share_column` stands for; None for a classification metric."""
    support, dot, name = column.partition(".")
    return Share(support, *name.split("_", 1)) if dot else None


def metric_title(column: str) -> str:
    """A metric in words: "S_joint (mask)", "AUC"."""
    share = share_of(column)
    if share:
        return f"{share.quantity}_{share.feature} ({share.support})"
    return column.replace("_", " ").replace("auc", "AUC")


def feature_title(feature: str) -> str:
    """A feature, or the joint share, in words: "log aspect ratio", "joint (magnitude)"."""
    joint = {JOINT: "joint (squared)", JOINT_MAGNITUDE: "joint (magnitude)"}
    return joint.get(feature, feature.replace("_", " "))
