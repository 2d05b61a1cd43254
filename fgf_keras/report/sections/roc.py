"""ROC curves of the arms of a comparison, and functions for all ROC plots."""

from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from fgf_keras.pictures.colours import COLOURS, GREY
from fgf_keras.report.document import Plot, Section
from fgf_keras.report.style import svg_of
from fgf_keras.results.study import Study

# False positive rates at which curves are averaged.
GRID = np.linspace(0, 1, 101)


def arms_roc_section(study: Study, arms: list[str]) -> Section:
    """The ROC curve of each arm.

    Args:
        study: the comparison.
        arms: names of the arms that are drawn.
    """
    curves = {}
    for arm in arms:
        if tables := study.part_patients(arm):
            curves[arm] = [(table["label"], table["logit"]) for table in tables]
    most = max(len(splits) for splits in curves.values())
    how = (
        f"Mean over up to {most} splits of the sensitivity at each specificity (no pooling of scores, which "
        "differ between networks)" + ("; bands: ± one standard deviation." if len(curves) <= 2 else ".")
        if most > 1
        else "One split; with so few positive patients, small differences mean nothing."
    )
    alt = f"ROC curves on the {study.part} part, of {', '.join(curves)}. {how}"
    plot = Plot("roc", alt, f"ROC, {study.part} part. {how}", svg_of(arms_roc_plot(curves), "roc"))
    return Section("roc", "ROC curves", [plot])


def arms_roc_plot(curves: dict[str, list[tuple[ArrayLike, ArrayLike]]]) -> Figure:
    """Plot the mean ROC of each arm over splits; with at most two arms, bands of ± one standard deviation.

    Args:
        curves: [(labels (N,), logits (N,)), …], one per split, by arm.
    """
    figure = Figure(figsize=(4.8, 4.5))
    axes = figure.subplots()
    for (arm, splits), colour in zip(curves.items(), cycle(COLOURS)):
        rates = np.stack([roc_on_grid(np.asarray(labels), np.asarray(logits)) for labels, logits in splits])
        mean = rates.mean(axis=0)
        # More than two bands would be hard to distinguish.
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


def roc_on_grid(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The true positive rate at `GRID`, the highest one where the curve is vertical."""
    positive, negative = (np.sort(logits[labels == k]) for k in (1, 0))
    # The number of negative patients that may be above the threshold at each false positive rate.
    above = np.floor(GRID * len(negative) + 1e-9).astype(int)
    threshold = np.concatenate([negative[::-1], [-np.inf]])[above]
    return 1 - np.searchsorted(positive, threshold, side="right") / len(positive)


def roc_axes(axes: Axes) -> None:
    """Set up the axes of a ROC plot, with the line of chance and the legend."""
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="chance")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")
    axes.legend(loc="lower right")
