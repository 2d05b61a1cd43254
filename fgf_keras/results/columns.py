"""The column names of metrics in CSV files and tables: the only place that builds and parses them."""

from typing import NamedTuple

CLASSIFICATION = ("balanced_accuracy", "auc", "sensitivity", "specificity")
# S, pointwise alignment, and F, flow alignment.
QUANTITIES = ("S", "F")
# Partial shares, at the patient: they have no joint share, and may be undefined for some features alone.
PARTIAL = "partial"
JOINT, JOINT_MAGNITUDE = "joint", "joint_magnitude"
# What is compared with bars.
BAR_METRICS = ("auc", "balanced_accuracy")


class BarMetric(NamedTuple):
    """A metric of a bar, or what the network has more than the bar.

    Attributes:
        bar: its name.
        metric: "auc" or "balanced_accuracy".
        is_difference: whether it is that of the network minus that of the bar.
    """

    bar: str
    metric: str
    is_difference: bool


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


def bar_column(metric: str, bar: str, *, difference: bool = False) -> str:
    """The column of a metric of a bar, `bar_auc_features`, or of the difference, `over_bar_auc_features`."""
    return f"{'over_' if difference else ''}bar_{metric}_{bar}"


def bar_of(column: str) -> BarMetric | None:
    """What a column name from `bar_column` stands for; None for any other metric."""
    for metric in BAR_METRICS:
        for difference in (False, True):
            prefix = bar_column(metric, "", difference=difference)
            if column.startswith(prefix):
                return BarMetric(column.removeprefix(prefix), metric, difference)
    return None


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
    of_bar = bar_of(column)
    if of_bar:
        title = f"{metric_title(of_bar.metric)} of bar {bar_title(of_bar.bar)}"
        return f"network minus bar: {title}" if of_bar.is_difference else title
    return column.replace("_", " ").replace("auc", "AUC")


def feature_title(feature: str) -> str:
    """A feature, or the joint share, in words: "log aspect ratio", "joint (magnitude)"."""
    joint = {JOINT: "joint (squared)", JOINT_MAGNITUDE: "joint (magnitude)"}
    return joint.get(feature, feature.replace("_", " "))


def bar_title(bar: str) -> str:
    """A bar in words: "area", "features and clinical"."""
    return bar.replace("_", " ")
