"""Whether alignment depends on the score: a plot of joint S against the score, and a table by outcome."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from fgf_keras.pictures.colours import BLUE, GREY, INK, ORANGE
from fgf_keras.report.document import Block, Plot, Table, Text
from fgf_keras.report.style import svg_of
from fgf_keras.results.columns import JOINT, share_column
from fgf_keras.results.interval import Interval, number
from fgf_keras.results.patients import defined_shares
from fgf_keras.results.score_groups import score_correlation, score_groups

# Means of groups further apart than this are worth a sentence.
FAR_APART = 0.1


def score_group_blocks(
    patients: pd.DataFrame, support: str, threshold: float, *, confidence: float, seed: int
) -> list[Block]:
    """Joint S against the score, and by outcome and decision.

    Args:
        patients: rows of patients.csv of a part.
        support: where gradients were compared.
        threshold: of the decision, a logit.
        confidence, seed: of the intervals.
    """
    shares = defined_shares(patients, share_column(support, "S", JOINT))
    settings: dict[str, Any] = {"confidence": confidence, "seed": seed}
    correlation = score_correlation(patients["logit"].to_numpy(), shares.to_numpy(), **settings)
    groups = score_groups(patients, shares, **settings)
    rows = [[group.name, str(group.n), number(group.median), str(group.mean)] for group in groups]
    sentence = _sentence(correlation)
    name = f"score_groups_{support}"
    plot = Plot(
        name,
        f"Joint S against the score, support {support}. {sentence}",
        "Joint S of each patient against the score. Dashed: the threshold of the decision.",
        svg_of(score_plot(patients, shares, threshold), name),
    )
    means = [group.mean.mean for group in groups if group.mean.is_defined]
    if len(means) > 1 and max(means) - min(means) > FAR_APART:
        sentence += " The groups below differ so much that the mean over all patients describes none of them."
    caption = f"Joint S by outcome and decision, support “{support}”"
    return [
        Text(f"Does the alignment depend on the score? {sentence}"),
        plot,
        Table(caption, ["", "patients", "median", "mean [interval]"], rows),
    ]


def _sentence(correlation: Interval) -> str:
    if not correlation.is_known:
        return "The rank correlation of joint S with the score is undefined."
    value = f"the rank correlation of joint S with the score is {correlation}"
    if not correlation.excludes_zero:
        return f"No dependence is shown: {value}."
    side = "higher" if correlation.mean > 0 else "lower"
    return f"Patients with a {side} score have a higher joint S: {value}."


def score_plot(patients: pd.DataFrame, shares: pd.Series, threshold: float) -> Figure:
    """Plot joint S against the score, coloured by outcome."""
    figure = Figure(figsize=(6.2, 3.0))
    axes = figure.subplots()
    for label, colour, title in ((0, BLUE, "negative"), (1, ORANGE, "positive")):
        members = patients["label"] == label
        axes.plot(
            patients["logit"][members],
            shares[members],
            "o",
            color=colour,
            markersize=4,
            alpha=0.8,
            label=title,
        )
    axes.axvline(threshold, color=INK, linestyle="--", linewidth=0.8)
    axes.axhline(float(shares.median()), color=GREY, linewidth=0.8, label="median")
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel("score")
    axes.set_ylabel("joint S")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
