"""Whether predicted probabilities agree with observed rates."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fgf_keras.config import Config
from fgf_keras.pictures.colours import BLUE, GREY, INK, ORANGE
from fgf_keras.report.document import Fold, Plot, Section, Table, Text
from fgf_keras.report.style import svg_of
from fgf_keras.results.calibration import calibration_bins, calibration_summary
from fgf_keras.results.interval import Interval, rounded


def calibration_section(config: Config, patients: pd.DataFrame, part: str, confidence: float) -> Section:
    """Whether predicted probabilities agree with observed rates."""
    reported = patients[patients["split"] == part]
    labels, probability = reported["label"].to_numpy(), reported["probability"].to_numpy()
    bins = calibration_bins(labels, probability, confidence=confidence)
    summary = calibration_summary(labels, probability)
    sentence = (
        f"The mean prediction is {rounded(summary['mean'])}, the observed rate {rounded(summary['rate'])}: "
        f"expected over observed {summary['expected_to_observed']:.2f}. The Brier score is "
        f"{rounded(summary['brier'])}; always predicting the observed rate would have "
        f"{rounded(summary['reference'])} (lower is better)."
    )
    alt = f"Reliability diagram of {len(reported)} {part} patients in {len(bins)} groups. {sentence}"
    caption = (
        f"{len(bins)} groups of about {len(reported) // len(bins)} patients with like predictions; bars are "
        f"Wilson's {confidence:.0%} intervals of the observed rate. Below: predictions of both classes."
    )
    rows = [
        [
            rounded(row.predicted),
            str(Interval(row.observed, row.low, row.high)),
            f"{row.positive} of {row.n}",
        ]
        for row in bins.itertuples()
    ]
    table = Table("Groups of like predictions", ["predicted", "observed", "positive"], rows)
    figure = calibration_plot(bins, labels, probability)
    return Section(
        "calibration",
        "Calibration",
        [
            Text(sentence),
            Plot("calibration", alt, caption, svg_of(figure, "calibration")),
            Text(imbalance_sentence(config)),
            Fold("The groups as a table", [table]),
        ],
    )


def imbalance_sentence(config: Config) -> str:
    """How the handling of class imbalance in the training affects probabilities."""
    if config.train.imbalance == "none":
        return "Both classes counted as often as they are there, so that probabilities can be read as such."
    how = (
        "class weights"
        if config.train.imbalance == "class_weights"
        else "batches of as many positive patients as others"
    )
    return (
        f"The network was trained with {how} (train.imbalance: {config.train.imbalance}), as if half of all "
        "patients were positive. Where they are fewer, its probabilities are too high by design: they rank "
        "patients, they are no risks. A curve to the right of the diagonal is expected."
    )


def calibration_plot(bins: pd.DataFrame, labels: np.ndarray, probability: np.ndarray) -> Figure:
    """Plot the observed rate against the predicted probability, with the predictions of both classes below.

    Args:
        bins: see `calibration.calibration_bins`.
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
