"""The arms of a comparison side by side, with differences and verdicts."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fgf_keras.pictures.colours import COLOURS, FAINT, GREY, PAPER
from fgf_keras.report.document import Block, Bullets, Fold, Plot, Section, Table
from fgf_keras.report.sections.bars import study_bar_blocks
from fgf_keras.report.sections.protocol import protocol_rows
from fgf_keras.report.sections.side_by_side import side_by_side_table
from fgf_keras.report.style import svg_of
from fgf_keras.report.words import p_text
from fgf_keras.results.interval import Interval, number, or_nan, with_spread
from fgf_keras.results.protocol import as_records
from fgf_keras.results.study import Study


def arms_section(study: Study) -> Section:
    """The main metrics of every arm as a plot and a table, then all metrics."""
    blocks = _side_by_side(study) if study.protocol.empty else _over_splits(study)
    return Section("arms", "The arms side by side", blocks)


def _over_splits(study: Study) -> list[Block]:
    config, table, titles, arms = study.config, study.protocol, study.headlines, study.arms
    cells = {(row["arm"], row["figure"]): row for row in as_records(table)}
    rows = [[arm, *(with_spread(cells[arm, m]["mean"], cells[arm, m]["sd"]) for m in titles)] for arm in arms]
    intervals = {
        (arm, metric): Interval.of(cell["mean"], (cell["low"], cell["high"]))
        for metric in titles
        for arm in arms
        for cell in [cells[arm, metric]]
    }
    points = {
        (arm, metric): study.trials[study.trials["arm"] == arm][metric].dropna().tolist()
        for arm, metric in intervals
    }
    caption = f"{study.part} part: mean ± standard deviation over splits"
    blocks: list[Block] = [
        Table(caption, ["arm", *titles.values()], rows),
        _arms_plot(study, intervals, points, f"{config.evaluate.confidence:.0%} corrected"),
    ]
    # Under known laws, arms have no patients in common.
    if config.truth is not None:
        return blocks
    if len(arms) > 1:
        differences = [[arm, *(_difference(cells[arm, metric]) for metric in titles)] for arm in arms[1:]]
        caption = (
            f"Paired difference from {arms[0]} [{config.evaluate.confidence:.0%} interval of the corrected "
            "resampled t-test of Nadeau and Bengio], p"
        )
        blocks.append(Table(caption, ["arm", *titles.values()], differences))
    blocks += study_bar_blocks(study)
    metrics = protocol_rows(study)
    blocks.append(
        Fold("Every figure of every arm", [Table("As in protocol.md", metrics.header, metrics.rows)])
    )
    if "verdict" in table:
        blocks.append(Fold("Every verdict", [Bullets(list(table["verdict"].dropna()))]))
    return blocks


def _side_by_side(study: Study) -> list[Block]:
    runs = study.runs.items()
    intervals = {(arm, metric): part[metric] for metric in study.headlines for arm, part in runs}
    table = side_by_side_table(study.runs, f"{study.part} part, with intervals over patients")
    return [_arms_plot(study, intervals, {key: [] for key in intervals}, "over patients"), table]


def _difference(cell: dict[str, Any]) -> str:
    if cell["difference"] is None:
        return "undefined"
    bounds = f"[{number(cell['difference_low'])}, {number(cell['difference_high'])}]"
    return f"{number(cell['difference'])} {bounds}, {p_text(or_nan(cell['p']))}"


def _arms_plot(
    study: Study,
    intervals: dict[tuple[str, str], Interval],
    points: dict[tuple[str, str], list[float]],
    what: str,
) -> Plot:
    table = pd.DataFrame(
        [
            {"arm": arm, "metric": metric, "title": study.headlines[metric], "points": points[arm, metric]}
            | interval._asdict()
            for (arm, metric), interval in intervals.items()
        ]
    )
    values = "; ".join(
        f"{title}: " + ", ".join(f"{row.arm} {number(row.mean)}" for row in rows.itertuples())
        for title, rows in table.groupby("title", sort=False)
    )
    caption = (
        f"Dots and lines: means with intervals ({what}), cut at 0 and 1; faint dots: single splits. The "
        f"dotted line is {study.arms[0]}."
    )
    return Plot("arms", f"Figures of each arm. {values}.", caption, svg_of(arms_plot(table), "arms"))


def arms_plot(table: pd.DataFrame) -> Figure:
    """One panel per metric, one row per arm: mean, interval cut at 0 and 1, and the splits as faint points.

    Args:
        table: with the columns arm, metric, title, mean, low, high (NaN where there is no interval), points
            (list of values, one per split).
    """
    arms, metrics = list(dict.fromkeys(table["arm"])), list(dict.fromkeys(table["metric"]))
    figure = Figure(figsize=(9.4, 0.9 + 0.34 * len(arms)))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, metrics):
        rows = table[table["metric"] == name]
        reference = rows["mean"].iloc[0]
        if not np.isnan(reference):
            axes.axvline(reference, color=GREY, linewidth=0.9, linestyle=":")
        for row in rows.itertuples():
            y = len(arms) - 1 - arms.index(row.arm)
            colour = COLOURS[arms.index(row.arm) % len(COLOURS)]
            axes.plot(row.points, np.full(len(row.points), y), "o", color=colour, alpha=0.3, markersize=3)
            axes.plot(np.clip([row.low, row.high], 0, 1), [y, y], color=colour, linewidth=2)
            axes.plot(row.mean, y, "o", color=colour, markersize=6, markeredgecolor=PAPER)
        axes.set_title(rows["title"].iloc[0])
        axes.set_yticks(range(len(arms)), arms[::-1])
        axes.set_ylim(-0.6, len(arms) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color=FAINT)
    return figure
