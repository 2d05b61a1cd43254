"""Plots of several arms: their figures side by side, and their ROC curves."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fgf_keras.evaluation.report_plots import GRID, roc_axes, roc_on_grid
from fgf_keras.evaluation.report_style import COLOURS, FAINT, GREY, PAPER


def arms_plot(table: pd.DataFrame) -> Figure:
    """A panel a figure, a row an arm: value, interval cut at 0 and 1, and faintly what each split gave.

    Args:
        table: with the columns arm, figure, title, value, low, high (NaN where there is no interval), points
            (list of values, one a split).
    """
    arms, figures = list(dict.fromkeys(table["arm"])), list(dict.fromkeys(table["figure"]))
    figure = Figure(figsize=(9.4, 0.9 + 0.34 * len(arms)))
    panels = figure.subplots(1, len(figures), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, figures):
        rows = table[table["figure"] == name]
        reference = rows["value"].iloc[0]
        if not np.isnan(reference):
            axes.axvline(reference, color=GREY, linewidth=0.9, linestyle=":")
        for row in rows.itertuples():
            y = len(arms) - 1 - arms.index(row.arm)
            colour = COLOURS[arms.index(row.arm) % len(COLOURS)]
            axes.plot(row.points, np.full(len(row.points), y), "o", color=colour, alpha=0.3, markersize=3)
            axes.plot(np.clip([row.low, row.high], 0, 1), [y, y], color=colour, linewidth=2)
            axes.plot(row.value, y, "o", color=colour, markersize=6, markeredgecolor=PAPER)
        axes.set_title(rows["title"].iloc[0])
        axes.set_yticks(range(len(arms)), arms[::-1])
        axes.set_ylim(-0.6, len(arms) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color=FAINT)
    return figure


def arms_roc_plot(curves: dict[str, list[tuple]]) -> Figure:
    """The mean ROC of each arm over splits, at the same false positive rates; bands of two arms are ± one sd.

    Args:
        curves: [(labels (N,), logits (N,)), …], one a split, by arm.
    """
    figure = Figure(figsize=(4.8, 4.5))
    axes = figure.subplots()
    for (arm, splits), colour in zip(curves.items(), cycle(COLOURS)):
        rates = np.stack([roc_on_grid(np.asarray(labels), np.asarray(logits)) for labels, logits in splits])
        mean = rates.mean(axis=0)
        # Bands of more than two arms cannot be told apart.
        if len(rates) > 1 and len(curves) <= 2:
            spread = rates.std(axis=0, ddof=1)
            axes.fill_between(
                GRID,
                np.clip(mean - spread, 0, 1),
                np.clip(mean + spread, 0, 1),
                color=colour,
                alpha=0.13,
                linewidth=0,
            )
        axes.plot(GRID, mean, color=colour, label=arm)
    roc_axes(axes)
    return figure
