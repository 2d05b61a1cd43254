"""The change of the score when a feature is changed in the image, compared with what the gradient says."""

from itertools import cycle
from typing import Any

from matplotlib.figure import Figure

from fgf_keras.pictures.colours import COLOURS, GREY
from fgf_keras.report.document import Block, Bullets, Plot, Section, Table, Text
from fgf_keras.report.style import svg_of
from fgf_keras.results.interval import Interval, rounded


def behaviour_section(content: dict[str, Any]) -> Section:
    """Whether the score changes with the features.

    Args:
        content: of behaviour.json.
    """
    features = content["features"]
    lead = Text(
        f"The images of {content['n']} {content['split']} patients were changed so that one feature "
        "moves and the score was asked again: what the network does, beside what its gradient says."
    )
    effects = [
        [
            name.replace("_", " "),
            str(Interval.of_summary(entry["effect"])),
            entry["unit"] or "–",
            str(entry["left_out"]),
        ]
        for name, entry in features.items()
    ]
    values = "; ".join(f"{row[0]} {row[1]}" for row in effects)
    alt = (
        "Change of the score against the change of each feature. Mean absolute change for one standard "
        f"deviation: {values}."
    )
    caption = (
        "Mean change of the score, with intervals over patients, where a feature is moved by so many of its "
        "standard deviations over the patients."
    )
    blocks: list[Block] = [
        lead,
        Plot("behaviour", alt, caption, svg_of(behaviour_plot(features), "behaviour")),
        Table(
            "Mean absolute change of the score for one standard deviation either way",
            ["", "absolute change", "unit of the feature", "patients left out"],
            effects,
        ),
    ]
    for support, agreement in content["agreement"].items():
        blocks += _agreement_blocks(support, agreement)
    return Section("behaviour", "Does the score move with the features?", blocks)


def _agreement_blocks(support: str, agreement: dict[str, Any]) -> list[Block]:
    rows = [
        [f"{kind} and effect", str(_correlation(agreement[kind])), str(agreement[kind]["n"])] for kind in "SF"
    ]
    orders = [
        f"Largest first, {how}: {', '.join(n.replace('_', ' ') for n in agreement[key]) or 'undefined'}."
        for key, how in (("order_by_effect", "by effect"), ("order_by_S", "by S"), ("order_by_F", "by F"))
    ]
    table = Table(
        f"Support “{support}”: does alignment order the features as their effects do? Spearman's "
        "correlation over the features of a patient, mean over patients",
        ["", "mean", "patients"],
        rows,
    )
    return [table, Bullets(orders)]


def behaviour_summary(content: dict[str, Any]) -> list[Block]:
    """A summary: the change of the score by each move, and one sentence per support.

    Args:
        content: of behaviour.json.
    """
    moves = {name: {move["amount"]: move for move in e["moves"]} for name, e in content["features"].items()}
    amounts = sorted({amount for by_amount in moves.values() for amount in by_amount})
    rows, unmoved = [], []
    for name, entry in content["features"].items():
        if entry["effect"]["mean"] is None:
            unmoved.append(f"{name} ({_reason(entry)})")
            continue
        changes = [_change(moves[name].get(amount), content["n"]) for amount in amounts]
        left_out = f"{entry['left_out']} of {content['n']}"
        rows.append([name.replace("_", " "), *changes, str(Interval.of_summary(entry["effect"])), left_out])
    blocks: list[Block] = []
    if amounts:
        caption = f"{content['split']} split: change of the score when tumours move along a feature"
        header = ["", *(f"{amount:+g} sd" for amount in amounts), "|change| for 1 sd", "left out"]
        blocks.append(Table(caption, header, rows))
    lines = [f"Not moved: {', '.join(unmoved)}."] if unmoved else []
    lines += [_agreement_sentence(support, each) for support, each in content["agreement"].items()]
    return [*blocks, Bullets(lines)]


def _agreement_sentence(support: str, agreement: dict[str, Any]) -> str:
    parts = []
    for kind in "SF":
        correlation = _correlation(agreement[kind])
        patients = f", {agreement[kind]['n']} patients" if correlation.is_defined else ""
        parts.append(f"{kind} {correlation}{patients}")
    return f"Rank agreement of the effects with alignment (support {support}): {'; '.join(parts)}"


def _change(move: dict[str, Any] | None, patients: int) -> str:
    """The change of the score, with the number of patients unless it is that of all of them."""
    if move is None:
        return "–"
    count = f" ({move['n']})" if move["n"] < patients else ""
    return rounded(move["score_change"]["mean"]) + count


def _reason(entry: dict[str, Any]) -> str:
    if entry["left_out"]:
        return f"no tumour could be, {entry['left_out']} left out"
    return "no known move in image space"


def _correlation(agreement: dict[str, Any]) -> Interval:
    return Interval.of(agreement["spearman_mean"], agreement["ci"])


def behaviour_plot(features: dict[str, Any]) -> Figure:
    """Plot the mean change of the score against the change of each feature, one panel per feature.

    Args:
        features: the entry "features" of behaviour.json.
    """
    figure = Figure(figsize=(min(9.4, 0.8 + 2.9 * len(features)), 2.7))
    panels = figure.subplots(1, len(features), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, entry), colour in zip(panels, features.items(), cycle(COLOURS)):
        moves = [move for move in entry["moves"] if move["score_change"]["mean"] is not None]
        amounts = [move["amount"] for move in moves]
        means = [move["score_change"]["mean"] for move in moves]
        bounds = [[move["score_change"]["ci"][k] for move in moves] for k in (0, 1)]
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.fill_between(amounts, *bounds, color=colour, alpha=0.22, linewidth=0)
        axes.plot(amounts, means, "o-", color=colour, markersize=4)
        if not moves:
            axes.annotate("undefined", (0.5, 0.6), xycoords="axes fraction", ha="center", fontsize=8)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("change, standard deviations")
    panels[0].set_ylabel("change of the score")
    return figure
