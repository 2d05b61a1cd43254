"""The cost of alignment: S and F against accuracy over a grid of reward weights, and the chosen weights."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fgf_keras.pictures.colours import BLUE, GREEN, GREY, INK, ORANGE, PURPLE
from fgf_keras.report.document import Block, Bullets, Plot, Section, Table
from fgf_keras.report.style import svg_of
from fgf_keras.report.words import in_words
from fgf_keras.results.columns import JOINT, QUANTITIES, share_column
from fgf_keras.results.interval import Interval, number
from fgf_keras.results.protocol import as_records
from fgf_keras.results.study import Study
from fgf_keras.results.trade_off import ACCURACIES, penalised_features

_LABELS = {
    "auc": "AUC",
    "auc_change": "change of AUC",
    "balanced_accuracy": "balanced accuracy",
    "S_joint": "joint S",
    "F_joint": "joint F",
    "S_penalised": "S of what is penalised",
    "F_penalised": "F of what is penalised",
}
# Marker, colour, and the position of the label with the weight, for each kind of reward.
_MARKERS = {
    "sum": ("o", BLUE, (-5, -10), "right"),
    "joint": ("s", ORANGE, (5, 4), "left"),
    "signed": ("^", GREEN, (5, -10), "left"),
    "distil": ("D", PURPLE, (-5, 4), "right"),
    "flow": ("v", GREY, (5, -3), "left"),
}


def trade_off_section(study: Study) -> Section:
    """The cost of alignment in accuracy, over the grid of λ."""
    support, sentences = study.config.evaluate.support[0], sweep_sentences(study)
    alignments = _alignments(study.trade_off)
    names = {name: _LABELS[name] for name in ("auc", "auc_change", *alignments)}
    rows = [
        [
            row["arm"],
            *(number(row[name]) for name in names),
            "yes" if row["pareto"] else "",
            "yes" if row["arm"] in study.chosen.values() else "",
            str(row["failed"]),
        ]
        for row in as_records(study.trade_off)
    ]
    penalised = penalised_features(study.config)
    up = f"Down: reacts less to {in_words(penalised)}" if penalised else "Up: more of the gradient in words"
    caption = (
        f"Validation part, support “{support}”, means over splits with intervals; numbers are λ; lines of "
        f"intervals may leave the picture. {up}; right: more accurate."
    )
    alt = (
        f"{' and '.join(_LABELS[name] for name in alignments)} against AUC and balanced accuracy. "
        f"{' '.join(sentences)}"
    )
    svg = svg_of(trade_off_plot(study.trade_off, support), "trade_off")
    header = ["arm", *names.values(), "Pareto front", "chosen", "failed"]
    table = Table("Validation part, means over splits", header, rows)
    blocks: list[Block] = [Bullets(sentences), Plot("trade_off", alt, caption, svg), table]
    return Section("trade-off", "What alignment costs", blocks)


def trade_off_summary(study: Study) -> list[Block]:
    """One row per arm with intervals, and what was chosen."""
    alignments = _alignments(study.trade_off)
    columns = ("auc", "auc_change", "balanced_accuracy", *alignments)
    rows = []
    for row in as_records(study.trade_off):
        failed = f" ({row['failed']} failed)" if row["failed"] else ""
        name = row["arm"] + (" *" if row["pareto"] else "") + failed
        rows.append([name, *(str(Interval.of_row(row, column)) for column in columns)])
    caption = (
        f"validation, support {study.config.evaluate.support[0]}; * on the Pareto front of AUC and "
        f"{_LABELS[alignments[0]]}"
    )
    header = ["", *(_LABELS[name] for name in columns)]
    return [Table(caption, header, rows), Bullets(sweep_sentences(study))]


def _alignments(table: pd.DataFrame) -> list[str]:
    """The columns of alignment that the sweep is about: joint, or of the penalised features."""
    of = "penalised" if "S_penalised" in table else JOINT
    return [f"{kind}_{of}" for kind in QUANTITIES]


def sweep_sentences(study: Study) -> list[str]:
    """The arm chosen for each kind of reward, and its results on the test part."""
    if study.config.sweep is None:
        return []
    tolerance, sentences = f"{study.config.sweep.tolerance:g}", []
    for kind, arm in study.chosen.items():
        if arm is None:
            sentences.append(f"{kind}: every λ loses more than {tolerance} of validation AUC.")
            continue
        support, aims = study.config.evaluate.support[0], penalised_features(study.config) or [JOINT]
        told = ["auc", *(share_column(support, "S", aim) for aim in aims)]
        test = study.protocol[study.protocol["figure"].isin(told)]
        verdicts = test[test["arm"] == arm]["verdict"]
        sentences.append(
            f"{kind}: the largest λ that loses at most {tolerance} of validation AUC is {arm}. On test: "
            f"{'; '.join(verdicts)}."
        )
    return sentences


def trade_off_plot(table: pd.DataFrame, support: str) -> Figure:
    """Plot S and F, joint or of what is penalised, against AUC and balanced accuracy; one line per reward.

    Args:
        table: a `trade_off_table`.
        support: the support of S and F in the table.
    """
    figure = Figure(figsize=(9, 7), layout="constrained")
    panels = figure.subplots(2, 2, sharex="col", sharey="row")
    baseline = table[table["kind"] == "none"]
    for axes_row, alignment in zip(panels, _alignments(table)):
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
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
    figure.suptitle("Validation part, means over splits; numbers are λ")
    return figure


def _errors(axes: Axes, rows: pd.DataFrame, x: str, y: str, **style: Any) -> None:
    """Points with intervals; without bars if there are no intervals (a single split)."""
    bars = {
        f"{axis}err": rows[[f"{name}_low", f"{name}_high"]]
        .sub(rows[name], axis=0)
        .abs()
        .fillna(0)
        .to_numpy()
        .T
        for axis, name in (("x", x), ("y", y))
    }
    _, _, bar_lines = axes.errorbar(rows[x], rows[y], **bars, elinewidth=0.9, **style)
    for line in bar_lines:
        line.set_alpha(0.4)


def _around_means(axes: Axes, table: pd.DataFrame, x: str, y: str) -> None:
    """Set limits that show the means; the intervals of a few splits may be much wider."""
    for name, limit in ((x, axes.set_xlim), (y, axes.set_ylim)):
        low, high = table[name].min(), table[name].max()
        if low <= high:
            margin = max(0.02, 0.25 * (high - low))
            limit(low - margin, high + margin)
