"""Signed effects: in which direction the score goes with each feature, by how much, and what makes it up."""

from typing import Any

import numpy as np
import pandas as pd

from fgf_keras.report.document import Block, Bullets, Fold, Section, Table, Text
from fgf_keras.report.sections.contributions import waterfall_blocks
from fgf_keras.report.words import in_words, listed, percent
from fgf_keras.results.columns import feature_title
from fgf_keras.results.effects import SHARE, UNEXPLAINED_SHARE
from fgf_keras.results.interval import UNDEFINED, Interval, number
from fgf_keras.results.lenses import moved_by_one
from fgf_keras.results.metrics import PartMetrics, Reference

LEAD = (
    "S and F are squares: they say how much of the reaction is a feature, but neither in which direction the "
    "score goes nor by how much. The slope of a feature is the change of the score, in logits, per unit of "
    "the feature when the intensities of an image change a little and the other features are held. Its "
    "effect is the slope times one standard deviation of the feature, which makes features comparable."
)
MOVED = (
    "“Tumour changed”: the score was asked again for images in which the tumour itself is brighter, larger "
    "or longer by one standard deviation of these patients, as far as pixels allow. The two answer different "
    "questions. The effect says what small changes of intensities do to this image; the changed tumour says "
    "what another patient's tumour would do. For size and shape they can differ greatly, because a larger "
    "tumour has pixels where there were none."
)
ON_THE_WAY = (
    "On the way from the patient to the decision boundary the score goes to zero. The contribution of a "
    "feature is the part that is lost while the image changes along that feature; what is lost along none of "
    "them is unexplained. Together they add up to the score."
)


def effects_section(
    metrics: PartMetrics,
    reference: Reference | None,
    features: list[str],
    patients: pd.DataFrame,
    shown: list[str],
    behaviour: dict[str, Any] | None = None,
) -> Section | None:
    """Effects and contributions on each support; None for files of an earlier version.

    Args:
        metrics: of the reported part.
        reference: of the effects.
        features: names of the features.
        patients: rows of patients.csv, indexed by patient_id.
        shown: ids of the patients whose waterfalls are drawn.
        behaviour: content of behaviour.json, or None.
    """
    if reference is None:
        return None
    blocks: list[Block] = [Text(LEAD), *_effect_blocks(metrics, reference, features, moved_by_one(behaviour))]
    blocks.append(Text(ON_THE_WAY))
    for support in metrics.supports:
        inner: list[Block] = [_shares_table(metrics, features, support)]
        first = support == metrics.supports[0]
        # Those of the first support are shown feature by feature.
        if not first:
            inner += waterfall_blocks(patients, shown, features, reference, support)
        blocks += inner if first else [Fold(f"The same on support “{support}”", inner)]
    return Section("effects", "In which direction, and by how much", blocks)


def direction_sentence(
    metrics: PartMetrics,
    reference: Reference | None,
    features: list[str],
    behaviour: dict[str, Any] | None = None,
) -> str:
    """With which features the score rises and falls, on the first support; "" if it is unknown."""
    if reference is None:
        return ""
    table = _indexed(metrics, metrics.supports[0])
    effects = {name: Interval.of_means(table.loc[(name, "effect")]) for name in features}
    slopes = _directions(effects, reference)
    moved = {name: change for name, change in moved_by_one(behaviour).items() if name in features}
    if not moved:
        return f"When the intensities of an image change a little along a feature, {slopes}"
    return (
        f"When the tumour itself is changed, {_directions(moved, None)} When only its intensities change a "
        f"little along a feature, {slopes}"
    )


def _directions(changes: dict[str, Interval], reference: Reference | None) -> str:
    """In which direction the score goes with each feature, in logits per standard deviation."""
    parts: dict[str, list[str]] = {"rises": [], "falls": [], "unknown": []}
    for name, change in sorted(changes.items(), key=lambda item: -abs(item[1].mean)):
        direction, title = _direction(change), feature_title(name)
        per = "" if reference is None else f" per {one_sd(name, reference)}"
        parts[direction].append(title if direction == "unknown" else f"{title} ({change.mean:+.2f}{per})")
    sentences = [f"{verb} with {listed(parts[verb])}" for verb in ("rises", "falls") if parts[verb]]
    if not sentences:
        return f"no direction is shown for {in_words(parts['unknown'])}."
    unknown = f"; no direction is shown for {in_words(parts['unknown'])}" if parts["unknown"] else ""
    unit = "logits on average"
    unit += " for one standard deviation" if reference is None else ""
    return f"the score {' and '.join(sentences)}, in {unit}{unknown}."


def _effect_blocks(
    metrics: PartMetrics, reference: Reference, features: list[str], moved: dict[str, Interval]
) -> list[Block]:
    """Effects on the first support: those of features inside the mask are the same on each."""
    table = _indexed(metrics, metrics.supports[0])
    headings = ["tumour changed"] if moved else []
    effects = Table(
        f"Effects, {metrics.n} {metrics.name} patients: mean [interval]",
        ["", "effect", "median", "positive in", "slope", "1 sd", *headings],
        [
            [
                feature_title(name),
                str(Interval.of_means(table.loc[(name, "effect")])),
                number(table.loc[(name, "effect"), "median"]),
                _share(table.loc[(name, "effect"), "positive"]),
                _per_unit(table.loc[(name, "slope")], reference.units[name]),
                one_sd(name, reference),
                *([str(moved.get(name, UNDEFINED))] if moved else []),
            ]
            for name in features
        ],
    )
    return [
        Bullets([_effect_sentence(name, table, reference) for name in features]),
        effects,
        Text(f"One standard deviation is that of the {reference.of}."),
        *([Text(MOVED)] if moved else []),
    ]


def _shares_table(metrics: PartMetrics, features: list[str], support: str) -> Table:
    table = _indexed(metrics, support)
    rows = [(feature_title(name), table.loc[(name, SHARE)]) for name in features]
    rows.append(("unexplained", table.loc[("", UNEXPLAINED_SHARE)]))
    return Table(
        f"Share of the score that is lost along each feature, support “{support}”: mean [interval]",
        ["", "share of the score", "median", "patients"],
        [
            [title, str(Interval.of_means(row)), number(row["median"]), str(int(row["n"]))]
            for title, row in rows
        ],
    )


def _effect_sentence(name: str, table: pd.DataFrame, reference: Reference) -> str:
    row = table.loc[(name, "effect")]
    effect, title = Interval.of_means(row), feature_title(name).capitalize()
    if not effect.is_defined:
        why = (
            f"it does not vary among the {reference.of}"
            if reference.sd[name] is None
            else "it is defined in no patient"
        )
        return f"{title}: the effect is undefined, because {why}."
    one = f"{title}: one standard deviation ({one_sd(name, reference)}) corresponds to {effect} logits"
    rises, falls = _share(row["positive"]), _share(row["negative"])
    if _direction(effect) == "unknown":
        return (
            f"{one} on average, so no direction is shown; the slope is positive in {rises} and negative in "
            f"{falls} of {int(row['n'])} patients."
        )
    sign, share = ("positive", rises) if effect.mean > 0 else ("negative", falls)
    return f"{one} on average; the slope is {sign} in {share} of {int(row['n'])} patients."


def _direction(effect: Interval) -> str:
    if not effect.excludes_zero:
        return "unknown"
    return "rises" if effect.mean > 0 else "falls"


def one_sd(name: str, reference: Reference) -> str:
    """One standard deviation of a feature over the reference cohort, with its unit."""
    sd = reference.sd[name]
    if sd is None:
        return "–"
    return f"{sd:.3g}\u00a0{reference.units[name]}".rstrip()


def _per_unit(row: pd.Series, unit: str) -> str:
    # Slopes per HU are small numbers.
    value = "undefined" if np.isnan(row["mean"]) else f"{row['mean']:.2g}"
    return f"{value} per\u00a0{unit}" if unit else value


def _share(value: float) -> str:
    return "–" if np.isnan(value) else percent(value)


def _indexed(metrics: PartMetrics, support: str) -> pd.DataFrame:
    return metrics.effects[support].set_index(["feature", "quantity"]).sort_index()
