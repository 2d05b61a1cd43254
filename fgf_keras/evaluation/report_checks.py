"""Sections on checks of a model that lie in the evaluation folder: behaviour, sanity, findings."""

from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure

from fgf_keras.evaluation.figures import estimate, number, or_nan
from fgf_keras.evaluation.report_blocks import Bullets, Callout, Fold, Plot, Section, Table, Terms, Text
from fgf_keras.evaluation.report_style import COLOURS, GREY, INK, svg_of
from fgf_keras.evaluation.report_text import in_words
from fgf_keras.run_folder import read_json

CHECKS = ("behaviour", "sanity", "findings")


def read_checks(directory: Path) -> dict[str, dict]:
    """The contents of behaviour.json, sanity.json and findings.json, of those that are there."""
    files = {name: Path(directory) / f"{name}.json" for name in CHECKS}
    return {name: read_json(file) for name, file in files.items() if file.is_file()}


def findings_blocks(content: dict | None) -> list:
    """Findings as call-outs; what was looked for in vain, or could not be, is folded."""
    if content is None:
        return []
    findings = content["findings"]
    found = [
        Callout(
            each["title"], [each["why"], *([f"What to try: {each['try']}"] if each["try"] else [])], "warning"
        )
        for each in findings
        if each["found"]
    ]
    blocks = [Text(f"Of {len(findings)} known ways to go wrong, found: {len(found)}."), *found]
    for state, title in ((False, "Checked and not found"), (None, "Could not be checked")):
        others = [(each["title"], each["why"]) for each in findings if each["found"] is state]
        if others:
            blocks.append(Fold(f"{title}: {len(others)}", [Terms(others)]))
    return blocks


def behaviour_section(content: dict) -> Section:
    """What happens to the score when a feature is changed in the image itself."""
    features = content["features"]
    blocks = [
        Text(
            f"The images of {content['n']} {content['split']} patients were changed so that one feature "
            "moves and the score was asked again: what the network does, beside what its gradient says."
        )
    ]
    effects = [
        [
            name.replace("_", " "),
            estimate(held["effect"]),
            held["unit"] or "–",
            str(held["left_out"]),
        ]
        for name, held in features.items()
    ]
    told = "; ".join(f"{row[0]} {row[1]}" for row in effects)
    alt = (
        "Change of the score against the change of each feature. Mean absolute change for one standard "
        f"deviation: {told}."
    )
    caption = (
        "Mean change of the score, with intervals over patients, where a feature is moved by so many of its "
        "standard deviations over the patients."
    )
    blocks += [
        Plot("behaviour", alt, caption, svg_of(behaviour_plot(features), "behaviour")),
        Table(
            "Mean absolute change of the score for one standard deviation either way",
            ["", "effect", "unit of the feature", "patients left out"],
            effects,
        ),
    ]
    for support, held in content["agreement"].items():
        rows = [[f"{kind} and effect", _spearman(held[kind]), str(held[kind]["n"])] for kind in "SF"]
        blocks += [
            Table(
                f"Support “{support}”: does alignment order the features as their effects do? Spearman's "
                "correlation over the features of a patient, mean over patients",
                ["", "mean", "patients"],
                rows,
            ),
            Bullets(
                [
                    f"Largest first, {told}: "
                    f"{', '.join(n.replace('_', ' ') for n in held[key]) or 'undefined'}."
                    for key, told in (
                        ("order_by_effect", "by effect"),
                        ("order_by_S", "by S"),
                        ("order_by_F", "by F"),
                    )
                ]
            ),
        ]
    return Section("behaviour", "Does the score move with the features?", blocks)


def _spearman(held):
    return estimate({"mean": held["spearman_mean"], "ci": held["ci"]})


def behaviour_plot(features: dict) -> Figure:
    """The mean change of the score against the change of each feature, a panel a feature."""
    figure = Figure(figsize=(min(9.4, 0.8 + 2.9 * len(features)), 2.7))
    panels = figure.subplots(1, len(features), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, held), colour in zip(panels, features.items(), cycle(COLOURS)):
        known = [move for move in held["moves"] if move["score_change"]["mean"] is not None]
        amounts = [move["amount"] for move in known]
        means = [move["score_change"]["mean"] for move in known]
        bounds = [[move["score_change"]["ci"][k] for move in known] for k in (0, 1)]
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.fill_between(amounts, *bounds, color=colour, alpha=0.22, linewidth=0)
        axes.plot(amounts, means, "o-", color=colour, markersize=4)
        if not known:
            axes.annotate("undefined", (0.5, 0.6), xycoords="axes fraction", ha="center", fontsize=8)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("change, standard deviations")
    panels[0].set_ylabel("change of the score")
    return figure


def sanity_section(content: dict) -> Section:
    """Whether S and F depend on what the network has learned."""
    support, features = content["support"], content["features"]
    told = ", ".join(step["name"] for step in content["steps"])
    blocks = [
        Text(
            "If alignment were a property of images and features alone, a network with random weights, or "
            f"one trained on permuted labels, would have it too. On {content['split']} patients, support "
            f"“{support}”:"
        ),
        Bullets(content["verdicts"]),
    ]
    alt = f"S and F of {in_words(features)} at each step: {told}. {' '.join(content['verdicts'])}"
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
                *(estimate(step[kind][name]) for name in features),
                str(step["undefined"][kind]),
            ]
            for step in content["steps"]
        ]
        header = ["", "AUC", *(name.replace("_", " ") for name in features), "undefined"]
        blocks.append(Table(f"{kind} at each step", header, rows))
    return Section("sanity", "Does alignment depend on what was learned?", blocks)


def sanity_plot(content: dict) -> Figure:
    """S and F of each feature over the steps, with the band of the null of the joint share."""
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
    known = panels[0].get_legend_handles_labels()
    figure.legend(*known, loc="outside lower center", ncols=len(known[0]))
    return figure
