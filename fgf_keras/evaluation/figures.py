"""The figures of a run as one flat table: what comparisons over several splits are made of."""

import math

CLASSIFICATION = ("balanced_accuracy", "auc", "sensitivity", "specificity")


def run_figures(metrics: dict, split: str) -> dict[str, float]:
    """Figures of a split by name: balanced_accuracy, …, then <support>.<kind>_<feature> for each support.

    `joint` is the squared share, `joint_magnitude` its root; NaN where no patient of the split has the
    figure.

    Args:
        metrics: content of metrics.json.
        split: which split of it.
    """
    held = metrics["splits"][split]
    figures = {name: held[name]["value"] for name in CLASSIFICATION}
    for support, table in held["alignment"].items():
        for kind in "SF":
            for name, summary in table[kind].items():
                if name == "joint":
                    figures[f"{support}.{kind}_joint"] = or_nan(summary["squared"]["mean"])
                    figures[f"{support}.{kind}_joint_magnitude"] = or_nan(summary["magnitude"]["mean"])
                else:
                    figures[f"{support}.{kind}_{name}"] = or_nan(summary["mean"])
    return figures


def left_out(metrics: dict, split: str, figure: str) -> int:
    """How many patients of a split a figure leaves out because it is undefined for them."""
    support, dot, name = figure.partition(".")
    return metrics["splits"][split]["alignment"][support]["undefined"][name[0]] if dot else 0


def rounded(value: float) -> str:
    """Three decimals, or one digit where those would all be 0."""
    return f"{value:.3f}" if abs(value) >= 0.0005 or value == 0 else f"{value:.0e}"


def number(value: float | None) -> str:
    """A figure, or that there is none."""
    return "undefined" if value is None or math.isnan(value) else rounded(value)


def interval(value: float, ci) -> str:
    """A figure with its interval."""
    return f"{rounded(value)} [{rounded(ci[0])}, {rounded(ci[1])}]"


def estimate(summary: dict) -> str:
    """A summary {"mean", "ci"} with its interval, or that it is undefined."""
    return "undefined" if summary["mean"] is None else interval(summary["mean"], summary["ci"])


def or_nan(value: float | None) -> float:
    """A figure as numbers go: NaN where there is none."""
    return math.nan if value is None else value
