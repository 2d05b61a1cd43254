"""Sanity checks: S and F of the trained network compared with networks that have learned nothing."""

from itertools import cycle
from typing import Any

from matplotlib.figure import Figure

from fgf_keras.pictures.colours import COLOURS, GREY, INK
from fgf_keras.report.document import Block, Bullets, Plot, Section, Table, Text
from fgf_keras.report.style import svg_of
from fgf_keras.report.words import in_words
from fgf_keras.results.interval import Interval, number, or_nan, rounded


def sanity_section(content: dict[str, Any]) -> Section:
    """Whether S and F depend on what the network has learned.

    Args:
        content: of sanity.json.
    """
    support, features = content["support"], content["features"]
    steps = ", ".join(step["name"] for step in content["steps"])
    blocks: list[Block] = [
        Text(
            "If alignment were a property of images and features alone, a network with random weights, or "
            f"one trained on permuted labels, would have it too. On {content['split']} patients, support "
            f"“{support}”:"
        ),
        Bullets(content["verdicts"]),
    ]
    alt = f"S and F of {in_words(features)} at each step: {steps}. {' '.join(content['verdicts'])}"
    caption = (
        "From the trained network (left) to networks that know nothing. Lines: means with intervals; bands: "
        "the null of the joint share, 5–95 %."
    )
    blocks.append(Plot("sanity", alt, caption, svg_of(sanity_plot(content), "sanity")))
    for kind in "SF":
        rows = [
            [
                step["name"],
                number(step["auc"]),
                *(str(Interval.of_summary(step[kind][name])) for name in features),
                str(step["undefined"][kind]),
            ]
            for step in content["steps"]
        ]
        header = ["", "AUC", *(name.replace("_", " ") for name in features), "undefined"]
        blocks.append(Table(f"{kind} at each step", header, rows))
    return Section("sanity", "Does alignment depend on what was learned?", blocks)


def sanity_summary(content: dict[str, Any]) -> list[Block]:
    """A summary: one row per step, and the verdicts.

    Args:
        content: of sanity.json.
    """
    names = [(kind, name) for kind in "SF" for name in content["features"]]
    rows = [
        [step["name"], rounded(step["auc"]), *(_cell(step, kind, name) for kind, name in names)]
        for step in content["steps"]
    ]
    caption = f"{content['split']} split, support {content['support']}: mean (95 % of smooth random fields)"
    header = ["", "AUC", *(f"{kind} {name.replace('_', ' ')}" for kind, name in names)]
    return [Table(caption, header, rows), Bullets(content["verdicts"])]


def _cell(step: dict[str, Any], kind: str, name: str) -> str:
    mean, q95 = step[kind][name]["mean"], step["null"][kind][name]["q95"]
    return "undefined" if mean is None else f"{rounded(mean)} ({rounded(q95)})"


def sanity_plot(content: dict[str, Any]) -> Figure:
    """Plot S and F of each feature over the steps, with the band of the null of the joint share."""
    steps, features = content["steps"], content["features"]
    x = list(range(len(steps)))
    figure = Figure(figsize=(9.4, 3.9))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, "SF"):
        nulls = [step["null"][kind].get("joint", {}) for step in steps]
        low, high = ([or_nan(null.get(key)) for null in nulls] for key in ("q05", "q95"))
        axes.fill_between(
            x, low, high, color=GREY, alpha=0.35, linewidth=0, step="mid", label="null of joint"
        )
        for name, colour in zip(features, cycle(COLOURS)):
            means = [or_nan(step[kind][name]["mean"]) for step in steps]
            ends = [[or_nan(end) for end in step[kind][name]["ci"]] for step in steps]
            colour = INK if name == "joint" else colour
            axes.vlines(x, *zip(*ends), color=colour, linewidth=1)
            axes.plot(x, means, "o-", color=colour, markersize=4, label=name.replace("_", " "))
        axes.set_title(kind)
        axes.set_xticks(x, [step["name"] for step in steps], rotation=35, ha="right")
        axes.set_ylim(-0.04, 1.04)
    panels[0].set_ylabel("share")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
    return figure
