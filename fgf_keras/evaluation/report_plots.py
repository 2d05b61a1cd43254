"""Plots of a single model: ROC, calibration, alignment beside its nulls, patients one by one."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from fgf_keras.evaluation.alignment_rows import AlignmentRow
from fgf_keras.evaluation.bootstrap import percentiles
from fgf_keras.evaluation.report_style import BLUE, COLOURS, FAINT, GREEN, GREY, INK, ORANGE, PAPER, PURPLE

RESAMPLES = 500
# All but that of what was measured; there may be a null for each correlation length.
_NULL_COLOURS = (GREY, GREEN, PURPLE, ORANGE, *COLOURS[5:])
# False positive rates at which curves are averaged.
GRID = np.linspace(0, 1, 101)


def roc_plot(labels, logits, threshold, *, confidence, seed) -> Figure:
    """ROC with a bootstrap band over patients and the point of the chosen threshold.

    Args:
        labels: (N,) in {0, 1}.
        logits: (N,).
        threshold: a logit; above it is positive.
        confidence: of the band.
        seed: of the resamples.
    """
    labels, logits = np.asarray(labels), np.asarray(logits)
    figure = Figure(figsize=(4.6, 4.3))
    axes = figure.subplots()
    low, high = roc_band(labels, logits, confidence=confidence, seed=seed)
    axes.fill_between(GRID, low, high, color=BLUE, alpha=0.2, linewidth=0, label=f"{confidence:.0%} band")
    false, true, _ = roc_curve(labels, logits)
    axes.plot(false, true, color=BLUE, label="test patients")
    decided = logits > threshold
    axes.plot(
        decided[labels == 0].mean(), decided[labels == 1].mean(), "o", color=ORANGE, markersize=8,
        markeredgecolor=PAPER, label="chosen threshold", zorder=4,
    )  # fmt: skip
    roc_axes(axes)
    return figure


def roc_band(labels, logits, *, confidence, seed):
    """Percentiles of the true positive rate at `GRID`, over patients resampled within each class."""
    rng = np.random.default_rng(seed)
    positive, negative = logits[labels == 1], logits[labels == 0]
    curves = np.empty((RESAMPLES, len(GRID)))
    for k in range(RESAMPLES):
        drawn = [rng.choice(side, len(side)) for side in (positive, negative)]
        curves[k] = roc_on_grid(np.repeat([1, 0], [len(positive), len(negative)]), np.concatenate(drawn))
    return np.array(percentiles(curves, confidence))


def roc_on_grid(labels, logits) -> np.ndarray:
    """True positive rate at `GRID`, the highest where the curve is upright."""
    positive, negative = (np.sort(logits[labels == k]) for k in (1, 0))
    # The threshold that at most this part of the negative ones is above.
    above = np.floor(GRID * len(negative) + 1e-9).astype(int)
    threshold = np.concatenate([negative[::-1], [-np.inf]])[above]
    return 1 - np.searchsorted(positive, threshold, side="right") / len(positive)


def roc_axes(axes) -> None:
    """Axes, the line of chance and the legend of ROC curves."""
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="chance")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")
    axes.legend(loc="lower right")


def calibration_plot(bins: pd.DataFrame, labels, probability) -> Figure:
    """Observed rate against predicted probability, with the scores of both classes below.

    Args:
        bins: by `calibration.calibration_bins`.
        labels: (N,) in {0, 1}.
        probability: (N,).
    """
    figure = Figure(figsize=(4.6, 4.3))
    axes, below = figure.subplots(2, 1, height_ratios=[4, 1], sharex=True)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="perfect")
    prevalence = np.mean(labels)
    axes.axhline(
        prevalence, color=INK, linewidth=0.8, linestyle="--", label=f"observed overall {prevalence:.2f}"
    )
    error = np.abs(bins[["low", "high"]].to_numpy().T - bins["observed"].to_numpy())
    axes.errorbar(
        bins["predicted"],
        bins["observed"],
        error,
        fmt="o-",
        color=BLUE,
        elinewidth=1,
        capsize=2,
        label="groups",
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_ylabel("observed rate")
    axes.legend(loc="upper left")
    edges = np.linspace(0, 1, 26)
    labels, probability = np.asarray(labels), np.asarray(probability)
    for k, colour, name in ((0, BLUE, "negative"), (1, ORANGE, "positive")):
        below.hist(probability[labels == k], edges, color=colour, alpha=0.65, label=name)
    below.set_xlabel("predicted probability")
    below.set_ylabel("patients")
    below.legend(loc="upper right", ncols=2)
    return figure


def alignment_plot(rows: list[AlignmentRow], nulls: list[str]) -> Figure:
    """S and F of each feature with intervals, the 5-95 % bands of the nulls behind them.

    Args:
        rows: by `alignment_rows`.
        nulls: in the order of the colours.
    """
    names = list(dict.fromkeys(row.name for row in rows))
    figure = Figure(figsize=(9, 0.9 + 0.52 * len(names)))
    panels = figure.subplots(1, 2, sharey=True)
    # As far as anything reaches, in steps that one can read.
    reach = max([0.01, *(x for row in rows for x in (*row.interval, *row.highs()) if x is not None)])
    for axes, kind, title in zip(panels, "SF", ("S, at the patient", "F, on the way to the boundary")):
        for y in range(0, len(names), 2):
            axes.axhspan(y - 0.5, y + 0.5, color=FAINT, alpha=0.3, linewidth=0)
        for row in rows:
            if row.kind == kind:
                _draw_row(axes, len(names) - 1 - names.index(row.name), row, nulls)
        axes.set_title(title)
        axes.set_xlim(-0.02 * reach, min(reach * 1.06, 1.02))
        axes.set_yticks(range(len(names)), names[::-1])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("share")
    figure.legend(*_alignment_legend(nulls), loc="outside lower center", ncols=len(nulls) + 1)
    return figure


def _draw_row(axes, y, row, nulls):
    height = 0.62 / max(1, len(nulls))
    for k, (null, colour) in enumerate(zip(nulls, cycle(_NULL_COLOURS))):
        if null in row.nulls:
            low, high = row.nulls[null][1:3]
            bottom = y + 0.31 - (k + 1) * height
            # A band that is thinner than a line is still to be seen.
            axes.broken_barh(
                [(low, high - low)], (bottom, height * 0.9), color=colour, alpha=0.5, linewidth=1
            )
    if row.mean is None:
        axes.annotate("undefined", (0, y), color=INK, fontsize=8, va="center")
        return
    axes.plot(row.interval, [y, y], color=BLUE, linewidth=2, solid_capstyle="butt")
    axes.plot(row.mean, y, "o", color=BLUE, markersize=6, markeredgecolor=PAPER)


def _alignment_legend(nulls):
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [Line2D([], [], color=BLUE, marker="o", linewidth=2)]
    handles += [Patch(color=colour, alpha=0.5) for _, colour in zip(nulls, cycle(_NULL_COLOURS))]
    return handles, ["measured mean and interval", *(f"{null} null, 5–95 %" for null in nulls)]


def patients_plot(patients: pd.DataFrame, features: list[str], threshold: float) -> Figure:
    """Every patient of a split from the highest score to the lowest: score, then S and F of all and of each.

    Args:
        patients: by `report_patients.scanned_patients`: number, label, logit, and S_<name>, F_<name> of each
            feature and joint, NaN where undefined.
        features: names of the panels below the joint share.
        threshold: the logit of the decision.
    """
    names = ["joint", *features]
    figure = Figure(figsize=(9.4, 1.6 + 1.35 * len(names)))
    score, *panels = figure.subplots(1 + len(names), 1, sharex=True, height_ratios=[1.1, *[1] * len(names)])
    x, positive = patients["number"].to_numpy(), patients["label"].to_numpy() == 1
    size = float(np.clip(500 / len(x), 2.5, 6))
    for axes in (score, *panels):
        for at in x[positive]:
            axes.axvline(at, color=ORANGE, alpha=0.22, linewidth=max(1.0, size * 0.8), zorder=0)
        axes.grid(axis="x", visible=False)
    for chosen, colour, label in ((~positive, BLUE, "negative"), (positive, ORANGE, "positive")):
        score.plot(x[chosen], patients["logit"][chosen], "o", color=colour, markersize=size, label=label)
    score.axhline(threshold, color=INK, linestyle="--", linewidth=0.8, label="threshold")
    score.set_ylabel("score")
    # Above, where there are no patients.
    above = {"loc": "lower right", "bbox_to_anchor": (1, 0.96), "ncols": 3, "borderaxespad": 0}
    score.legend(**above)
    for axes, name in zip(panels, names):
        _shares_of(axes, x, patients, name, size)
        axes.set_title("all features together" if name == "joint" else name.replace("_", " "), pad=3)
    panels[0].legend(**above)
    panels[-1].set_xlabel("patients, from the highest score to the lowest (numbers as in the table)")
    panels[-1].set_xlim(0, len(x) + 1)
    return figure


def _shares_of(axes, x, patients, name, size):
    pointwise, flow = (patients[f"{kind}_{name}"].to_numpy(float) for kind in "SF")
    axes.vlines(x, pointwise, flow, color=FAINT, linewidth=1)
    axes.plot(x, pointwise, "o", color=GREEN, markersize=size, label="S")
    axes.plot(x, flow, "o", markerfacecolor="none", color=PURPLE, markersize=size, label="F")
    undefined = np.isnan(pointwise) | np.isnan(flow)
    if undefined.any():
        axes.plot(
            x[undefined], np.full(undefined.sum(), -0.12), "x", color=INK, markersize=size, label="undefined"
        )
    axes.set_ylim(-0.22 if undefined.any() else -0.08, 1.08)
    axes.set_yticks([0, 0.5, 1])
