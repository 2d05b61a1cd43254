"""What a sweep leaves: the trade-off on validation, the weights chosen there, and how those do on test."""

import pandas as pd
import rich.box
import rich.console
import rich.table
import rich.text
from matplotlib.figure import Figure

from fgf_keras.config import Config
from fgf_keras.evaluation.protocol_table import as_records, protocol_table, trial_table
from fgf_keras.evaluation.report_style import BLUE, INK, ORANGE
from fgf_keras.evaluation.trade_off import ACCURACIES, largest_weights, trade_off_table
from fgf_keras.run_folder import write_json

_LABELS = {
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "S_joint": "joint S",
    "F_joint": "joint F",
}
# Marker, colour, and where the weight is written, of each kind of reward.
_MARKERS = {"sum": ("o", BLUE, (-5, -10), "right"), "joint": ("s", ORANGE, (5, 4), "left")}


def report_sweep(config: Config, metrics_by_trial: dict, directory) -> rich.console.Group:
    """Write sweep.json, sweep.csv and sweep.png into a folder.

    Weights are chosen on the validation part alone; the test part of the chosen is reported beside.

    Args:
        config: of the sweep.
        metrics_by_trial: content of metrics.json by (name of the split of the cohort, arm).
        directory: an existing folder.

    Returns:
        What to print.
    """
    table = trade_off_table(config, trial_table(metrics_by_trial, "validation"))
    chosen = largest_weights(table, config.sweep.tolerance)
    test = protocol_table(trial_table(metrics_by_trial, "test"), confidence=config.evaluate.confidence)
    table["chosen"] = table["arm"].isin([arm for arm in chosen.values() if arm])
    table.to_csv(directory / "sweep.csv", index=False)
    on_test = {kind: as_records(test[test["arm"] == arm]) if arm else None for kind, arm in chosen.items()}
    summary = {
        "chosen_on": "validation",
        "tolerance": config.sweep.tolerance,
        "support": config.evaluate.support[0],
        "chosen": chosen,
        "trade_off": as_records(table),
        "test": on_test,
    }
    write_json(directory / "sweep.json", summary)
    trade_off_plot(table, config.evaluate.support[0]).savefig(directory / "sweep.png", dpi=150)
    shown = rich.table.Table(
        box=rich.box.SIMPLE_HEAD,
        title=f"validation, support {config.evaluate.support[0]}; * on the Pareto front of AUC and joint S",
        title_justify="left",
    )
    shown.add_column("")
    for label in ("AUC", "change of AUC", "balanced accuracy", "joint S", "joint F"):
        shown.add_column(label, justify="right", overflow="fold")
    for row in as_records(table):
        cells = [
            _cell(row, name) for name in ("auc", "auc_change", "balanced_accuracy", "S_joint", "F_joint")
        ]
        failed = f" ({row['failed']} failed)" if row["failed"] else ""
        shown.add_row(row["arm"] + (" *" if row["pareto"] else "") + failed, *cells)
    sentences = [sweep_sentence(kind, arm, test, config) for kind, arm in chosen.items()]
    return rich.console.Group(shown, rich.text.Text("\n".join(sentences)))


def trade_off_plot(table, support: str) -> Figure:
    """Joint S and F against AUC and balanced accuracy: a line a kind of reward."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    panels = figure.subplots(2, 2, sharex="col", sharey="row")
    baseline = table[table["kind"] == "none"]
    for axes_row, alignment in zip(panels, ("S_joint", "F_joint")):
        for axes, accuracy in zip(axes_row, ACCURACIES):
            for kind in dict.fromkeys(table["kind"]):
                if kind == "none":
                    continue
                marker, colour, beside, side = _MARKERS[kind]
                rows = table[table["kind"] == kind].sort_values("weight")
                _errors(axes, rows, accuracy, alignment, fmt=f"{marker}-", color=colour, label=kind)
                for _, row in rows.iterrows():
                    axes.annotate(
                        f"{row['weight']:g}",
                        (row[accuracy], row[alignment]),
                        xytext=beside,
                        ha=side,
                        textcoords="offset points",
                        fontsize=7,
                        color=colour,
                    )
            _errors(axes, baseline, accuracy, alignment, fmt="*", color=INK, markersize=11, label="baseline")
            _around_means(axes, table, accuracy, alignment)
            axes.set_xlabel(_LABELS[accuracy])
            axes.set_ylabel(f"{_LABELS[alignment]} ({support})")
            axes.label_outer()
            axes.grid(alpha=0.5)
    known = panels[0, 0].get_legend_handles_labels()
    figure.legend(*known, loc="outside lower center", ncols=len(known[0]))
    figure.suptitle("Validation part, means over splits; numbers are λ")
    return figure


def _errors(axes, rows, x, y, **style):
    """Points with intervals; bars are left out where there is none (a single split)."""
    bars = {
        f"{axis}err": rows[[f"{name}_low", f"{name}_high"]]
        .sub(rows[name], axis=0)
        .abs()
        .fillna(0)
        .to_numpy()
        .T
        for axis, name in (("x", x), ("y", y))
    }
    _, _, drawn = axes.errorbar(rows[x], rows[y], **bars, elinewidth=0.9, **style)
    for line in drawn:
        line.set_alpha(0.4)


def _around_means(axes, table, x, y):
    """Limits that show the means: intervals of a few splits may reach far beyond."""
    for name, limit in ((x, axes.set_xlim), (y, axes.set_ylim)):
        low, high = table[name].min(), table[name].max()
        if low <= high:
            margin = max(0.02, 0.25 * (high - low))
            limit(low - margin, high + margin)


def sweep_sentence(kind: str, arm: str | None, test: pd.DataFrame, config: Config) -> str:
    """What was chosen for a kind of reward, and how it does on test.

    Args:
        kind: of reward.
        arm: chosen, None for none.
        test: a `protocol_table` of the test part.
        config: of the sweep.
    """
    tolerance = f"{config.sweep.tolerance:g}"
    if arm is None:
        return f"{kind}: every λ loses more than {tolerance} of validation AUC."
    verdicts = test[
        (test["arm"] == arm) & test["figure"].isin(["auc", f"{config.evaluate.support[0]}.S_joint"])
    ]
    found = "; ".join(verdicts["verdict"])
    return (
        f"{kind}: the largest λ that loses at most {tolerance} of validation AUC is {arm}. On test: {found}."
    )


def _cell(row, name):
    if row[name] is None:
        return "undefined"
    if row[f"{name}_low"] is None:
        return f"{row[name]:.3f}"
    return f"{row[name]:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"
