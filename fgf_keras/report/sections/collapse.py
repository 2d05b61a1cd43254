"""What the classifier loses when a feature has the same value for all patients."""

from typing import Any

from matplotlib.figure import Figure

from fgf_keras.pictures.colours import BLUE, GREY
from fgf_keras.report.document import Block, Bullets, Plot, Section, Table, Text
from fgf_keras.report.style import svg_of
from fgf_keras.report.words import in_words, of_network, percent
from fgf_keras.results.interval import Interval, number, rounded, signed

# What is moved when all features are.
ALL = "all together"
# Why a patient did not come to the target, by status.
_REASONS = {
    "not_reached": "the path ended elsewhere",
    "stationary": "no change of the image leads further",
    "overflow": "the feature is not a number",
}


def collapse_section(content: dict[str, Any]) -> Section:
    """Whether the classifier still tells patients apart when a feature does not.

    Args:
        content: of collapse.json.
    """
    place = "the latent space of a generative model" if content["space"] == "latent" else "image space"
    lead = Text(
        f"The images of {content['n']} {of_network(content['split'])} were changed until a feature had the "
        "same value for all of them, its mean over the training patients, and the score was asked again. If "
        "the AUC falls, the decision depends on that feature, or on what changes with it. For comparison, "
        f"the same images were moved as far in {content['draws']} random smooth directions."
    )
    caption = (
        "Dots: the drop of the AUC when a feature is the same for all patients, with its interval over "
        "patients. Bars: the 5–95 % band of the drops when images move as far in random directions."
    )
    drops = "; ".join(
        f"{name} {Interval.of_summary(entry['auc']['drop'])}" for name, entry in _entries(content).items()
    )
    alt = f"Drop of the AUC for each feature, over the band of random directions: {drops}."
    blocks: list[Block] = [
        lead,
        Bullets(_sentences(content)),
        Plot("collapse", alt, caption, svg_of(collapse_plot(content), "collapse")),
        _table(content),
        Text(
            f"Images move along the feature's own gradient in {place}, inside the tumour and inside the "
            "range of intensities. The outline of the tumour stays: extent and aspect ratio change because "
            "pixels become brighter or darker, so a network that sees them in the outline loses little. A "
            "feature whose information is in other features too can be lost without a drop."
        ),
    ]
    return Section("collapse", "What is lost without a feature?", blocks)


def collapse_summary(content: dict[str, Any]) -> list[Block]:
    """A summary: one sentence per feature.

    Args:
        content: of collapse.json.
    """
    return [Bullets(_sentences(content))]


def _entries(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The entries by the name of what is moved."""
    entries = {name.replace("_", " "): entry for name, entry in content["features"].items()}
    return entries | ({ALL: content["together"]} if content["together"] else {})


def _sentences(content: dict[str, Any]) -> list[str]:
    sentences = []
    for name, entry in _entries(content).items():
        average = in_words(content["features"]) if name == ALL else f"{name} ({_target(entry)})"
        changed = f"If intensities were changed until every tumour had the average {average}"
        sentences.append(f"{changed}, {_outcome(entry)}.{_missing(entry, content['n'])}")
    return sentences


def _target(entry: dict[str, Any]) -> str:
    return f"{entry['target']:.3g}\u00a0{entry['unit']}".strip()


def _outcome(entry: dict[str, Any]) -> str:
    metric = entry["auc"]
    drop = Interval.of_summary(metric["drop"])
    if not drop.is_defined:
        return "the AUC would be undefined: too few patients could be brought there"
    before, after = rounded(metric["before"]), rounded(metric["after"])
    if drop.low > 0:
        words = f"the AUC would fall from {before} to {after}"
    elif drop.high < 0:
        words = f"the AUC would rise from {before} to {after}"
    else:
        words = f"the AUC would be {after} instead of {before}, a difference that may be chance"
    words += f" (drop {drop})"
    random = metric["random"]
    if random["after"] is None:
        return words
    return f"{words}; moved as far in random directions it is {rounded(random['after'])} on average"


def _missing(entry: dict[str, Any], count: int) -> str:
    if entry["n"] == count:
        return ""
    reasons = ", ".join(
        f"{_REASONS.get(status, status.replace('_', ' '))}: {n}"
        for status, n in entry["status"].items()
        if status != "reached"
    )
    return (
        f" {count - entry['n']} of {count} patients could not be brought there and are left out ({reasons})."
    )


def _table(content: dict[str, Any]) -> Table:
    rows = []
    for name, entry in _entries(content).items():
        auc, accuracy = entry["auc"], entry["balanced_accuracy"]
        share = entry["distance_share"]
        rows.append(
            [
                name,
                number(auc["before"]),
                number(auc["after"]),
                str(Interval.of_summary(auc["drop"])),
                _band(auc["random"]),
                number(auc["random"]["p"]),
                str(Interval.of_summary(accuracy["drop"])),
                _band(accuracy["random"]),
                "–" if share is None else percent(share),
                f"{entry['n']} of {content['n']}",
            ]
        )
    header = [
        "",
        "AUC before",
        "after",
        "drop",
        "random: drop",
        "p",
        "balanced accuracy: drop",
        "random: drop",
    ]
    header += ["image moved by", "patients moved"]
    caption = (
        "AUC and balanced accuracy before and after, over the patients who were moved; drops paired over "
        f"patients, with {percent(content['confidence'])} intervals; 5–95 % band of random directions; p = "
        "(1 + random directions that lose as much of the AUC)/(1 + all of them)"
    )
    return Table(caption, header, rows)


def _band(random: dict[str, Any]) -> str:
    return "–" if random["q05"] is None else f"{signed(random['q05'])} to {signed(random['q95'])}"


def collapse_plot(content: dict[str, Any]) -> Figure:
    """Plot the drop of the AUC for each feature, over the band of random directions.

    Args:
        content: of collapse.json.
    """
    entries = _entries(content)
    figure = Figure(figsize=(6.4, 0.9 + 0.42 * len(entries)))
    axes = figure.subplots()
    axes.axvline(0, color=GREY, linewidth=0.8)
    for row, entry in enumerate(entries.values()):
        drop, random = Interval.of_summary(entry["auc"]["drop"]), entry["auc"]["random"]
        if random["q05"] is not None:
            axes.barh(
                row, random["q95"] - random["q05"], left=random["q05"], height=0.5, color=GREY, alpha=0.35
            )
        if drop.is_known:
            axes.plot([drop.low, drop.high], [row, row], color=BLUE)
            axes.plot([drop.mean], [row], "o", color=BLUE, markersize=5)
        else:
            axes.annotate("undefined", (0, row), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(entries)), list(entries))
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set_xlabel("drop of the AUC")
    return figure
