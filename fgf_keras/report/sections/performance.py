"""The performance of the network: metrics with intervals, ROC, and the effect of the threshold."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.metrics import roc_curve

from fgf_keras.pictures.colours import BLUE, ORANGE, PAPER
from fgf_keras.report.document import Block, Plot, Section, Table, Text
from fgf_keras.report.sections.roc import GRID, roc_axes, roc_on_grid
from fgf_keras.report.style import svg_of
from fgf_keras.report.words import of_network
from fgf_keras.results.bootstrap import percentiles
from fgf_keras.results.columns import CLASSIFICATION
from fgf_keras.results.interval import rounded
from fgf_keras.results.metrics import PartMetrics, RunMetrics

RESAMPLES = 500


def performance_section(metrics: RunMetrics, patients: pd.DataFrame, part: str, *, seed: int) -> Section:
    """Metrics of every part with intervals, ROC, and the effect of the threshold.

    Args:
        metrics: of the run.
        patients: content of patients.csv.
        part: name of the reported part.
        seed: of the resamples for the band of the ROC.
    """
    names = {"balanced_accuracy": "balanced accuracy", "auc": "AUC"}
    rows = [
        [names.get(key, key), *(str(each[key]) for each in metrics.parts.values())] for key in CLASSIFICATION
    ]
    rows[:2] = rows[1::-1]
    reported, threshold = metrics.parts[part], metrics.threshold
    rows_of_part = patients[patients["split"] == part]
    labels, decisions = rows_of_part["label"].to_numpy(), rows_of_part["decision"].to_numpy()
    counts = {(a, b): int(((labels == a) & (decisions == b)).sum()) for a in (0, 1) for b in (0, 1)}
    blocks: list[Block] = [
        Table(f"Figures with {metrics.confidence:.0%} intervals", ["", *metrics.parts], rows),
        Text(
            f"{threshold_in_words(threshold)}: probability {rounded(threshold['probability'])}. Of "
            f"{reported.n_positive} positive {part} patients it finds {counts[1, 1]} and misses "
            f"{counts[1, 0]}; of {reported.n - reported.n_positive} others it calls {counts[0, 1]} positive."
        ),
    ]
    figure = roc_plot(
        labels, rows_of_part["logit"], threshold["logit"], confidence=metrics.confidence, seed=seed
    )
    auc = reported["auc"]
    alt = (
        f"ROC curve of {reported.n} {part} patients: sensitivity against 1 − specificity. AUC {auc}. At the "
        f"chosen threshold sensitivity is {rounded(reported['sensitivity'].mean)} and specificity "
        f"{rounded(reported['specificity'].mean)}."
    )
    caption = (
        f"ROC, AUC {auc}. The band holds {metrics.confidence:.0%} of the curves of resampled patients. "
        "Figures of the parts trained and chosen on are no measure of how well the network does."
    )
    return Section("performance", "Performance", [*blocks, Plot("roc", alt, caption, svg_of(figure, "roc"))])


def threshold_in_words(threshold: dict[str, Any]) -> str:
    """How the threshold of the decision was chosen.

    Args:
        threshold: see `RunMetrics`.
    """
    if threshold["chosen_on"] == "prior":
        return (
            "The threshold is where both classes are equally likely under the loss of the training, if they "
            "are equally frequent; it was not chosen on patients"
        )
    patients = threshold["chosen_on"].replace("_", " ")
    return f"The threshold is the one with the {threshold['criterion']} on {patients} patients"


def performance_sentence(metrics: PartMetrics, confidence: float) -> str:
    """AUC and balanced accuracy in words.

    Args:
        metrics: of a part.
        confidence: of the intervals.
    """
    auc = metrics["auc"]
    chance = " The interval of the AUC includes 0.5: it may be no better than chance." * (
        auc.low <= 0.5 <= auc.high
    )
    worse = " The AUC lies below 0.5: the score falls where it should rise." * (auc.high < 0.5)
    patients = of_network(metrics.name)
    return (
        f"On {metrics.n} {patients}, {metrics.n_positive} of them positive, which the network was not "
        f"trained on, the AUC is {auc} and the balanced accuracy {metrics['balanced_accuracy']} "
        f"({confidence:.0%} intervals).{chance}{worse}"
    )


def roc_plot(
    labels: ArrayLike, logits: ArrayLike, threshold: float, *, confidence: float, seed: int
) -> Figure:
    """Plot the ROC with a bootstrap band over patients and the point of the chosen threshold.

    Args:
        labels: (N,) in {0, 1}.
        logits: (N,).
        threshold: a logit; scores above it are positive.
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
    decisions = logits > threshold
    axes.plot(
        decisions[labels == 0].mean(), decisions[labels == 1].mean(), "o", color=ORANGE, markersize=8,
        markeredgecolor=PAPER, label="chosen threshold", zorder=4,
    )  # fmt: skip
    roc_axes(axes)
    return figure


def roc_band(labels: np.ndarray, logits: np.ndarray, *, confidence: float, seed: int) -> np.ndarray:
    """Percentiles of the true positive rate at `GRID`, over patients resampled within each class."""
    rng = np.random.default_rng(seed)
    positive, negative = logits[labels == 1], logits[labels == 0]
    curves = np.empty((RESAMPLES, len(GRID)))
    for k in range(RESAMPLES):
        resample = [rng.choice(side, len(side)) for side in (positive, negative)]
        curves[k] = roc_on_grid(np.repeat([1, 0], [len(positive), len(negative)]), np.concatenate(resample))
    return np.array(percentiles(curves, confidence))
