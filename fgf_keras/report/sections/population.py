"""What the score follows over patients, in words and as a table."""

import pandas as pd

from fgf_keras.report.document import Block, Section, Table, Text
from fgf_keras.report.words import in_words, listed, of_network, p_text, percent
from fgf_keras.results.columns import JOINT, feature_title
from fgf_keras.results.interval import Interval, number
from fgf_keras.results.metrics import PartMetrics
from fgf_keras.results.population import BENDS, FLEXIBLE, INTERACTIONS, PopulationShare

LEAD = (
    "The gradient says what the score reacts to at one image. Another question is what makes the score of "
    "one patient differ from that of another. The population share answers it without gradients: the part "
    "of the variation of the score over patients that goes with the values of the features (R² of their "
    "ranks, and linear), split over the features so that overlapping ones share what both explain (LMG, the "
    "Shapley values of R²). “Beyond the others” is what only that feature explains; it can exceed the share "
    "where features hide each other."
)
INTERVALS = (
    "Chance: 95 % of random assignments of scores to patients explain less than this; p is the part of them "
    "that reaches the share. The p of what a feature explains beyond the others permutes only what these "
    "leave, and is adjusted for the number of features: so a weak feature is found beside a strong one. The "
    "interval resamples patients; a resample explains a little more than the patients themselves, so p, not "
    "the interval, tells whether there is a share at all."
)
# Shares of bends and interactions below this are not worth a sentence.
_WORTH_SAYING = 0.05


def population_section(metrics: PartMetrics, alpha: float) -> Section | None:
    """The population share of a part; None for files of earlier versions.

    Args:
        metrics: of the reported part.
        alpha: significance level.
    """
    population = metrics.population
    if population is None:
        return None
    blocks: list[Block] = [Text(LEAD)]
    if population.reason:
        blocks.append(Text(f"It could not be measured: {population.reason}"))
        return _section(blocks)
    draws = population.permutations
    blocks.append(Text(population_sentence(metrics, alpha)))
    rows = []
    for scale in ("ranks", "linear"):
        rows.append([scale, *[""] * 5])
        for name, row in population.rows(scale).iterrows():
            is_joint = name == JOINT
            cells = ["–", "–"] if is_joint else [number(row["unique"]), p_text(row["p_own"], draws)]
            everything = "all features" if metrics.clinical is None else "all together"
            title = everything if is_joint else feature_title(str(name))
            share = str(Interval.of_means(row)) if row["mean"] == row["mean"] else "–"
            rows.append([title, share, number(row["chance"]), p_text(row["p"], draws), *cells])
    content = population.content
    caption = f"Population share, {content['n']} {of_network(metrics.name)}"
    header = ["", "share [interval]", "chance", "p", "beyond the others", "p of that"]
    if content["left_out"]:
        reason = "a value or the score is undefined"
        blocks.append(Text(f"Left out: {content['left_out']} patients, of whom {reason}."))
    if content["constant"]:
        verb = "does not vary" if len(content["constant"]) == 1 else "do not vary"
        blocks.append(Text(f"{in_words(content['constant']).capitalize()} {verb} between these patients."))
    return _section([*blocks, Table(caption, header, rows), Text(INTERVALS), *_flexible(population)])


def population_sentence(metrics: PartMetrics, alpha: float) -> str:
    """What the score follows, in one or two sentences; "" for files of earlier versions.

    Args:
        metrics: of a part.
        alpha: significance level.
    """
    population = metrics.population
    if population is None:
        return ""
    if population.reason:
        return f"What the score follows over patients could not be measured: {population.reason}"
    rows, draws = population.rows("ranks"), population.permutations
    joint = rows.loc[JOINT]
    patients = f"the {population.content['n']} {of_network(metrics.name)}"
    beyond = _beyond_sum(population)
    has_columns = metrics.clinical is not None and set(metrics.clinical["effects"]) & set(rows.index)
    explaining = "named features and clinical columns" if has_columns else "named features"
    if joint["p"] > alpha:
        but = f" But a flexible surrogate explains {beyond}." if beyond else ""
        return (
            f"Over {patients}, the values of the {explaining} explain no more of the score than chance "
            f"would have it ({percent(joint['mean'])} of its variation, {p_text(joint['p'], draws)}).{but}"
        )
    followed = population.followed(alpha)
    parts = [
        f"{feature_title(name)} ({_with_bounds(Interval.of_means(rows.loc[name]))} of its variation)"
        for name in followed
    ]
    together = f"all {explaining} together explain {_with_bounds(Interval.of_means(joint))}"
    if not followed:
        sentence = f"Over {patients}, {together} of the variation of the score"
    else:
        more = f"; {together}" if len(rows) > 2 else ""
        sentence = f"Over {patients}, the score goes with {listed(parts)}{more}"
    others = _others(rows.drop(index=[JOINT, *followed]), alpha)
    return f"{sentence}.{others}" + (f" A flexible surrogate explains {beyond}." if beyond else "")


def _others(rows: pd.DataFrame, alpha: float) -> str:
    """What is said of features that the score does not follow beyond chance and beyond the others."""
    sentences = []
    small = rows[(rows["p_own"] <= alpha) & ~(rows["p"] <= alpha)]
    if len(small):
        parts = [f"{feature_title(str(name))} {percent(row['unique'])}" for name, row in small.iterrows()]
        sentences.append(f"Small shares beyond those of the other features: {listed(parts)}.")
    overlapping = [str(name) for name in rows[(rows["p"] <= alpha) & ~(rows["p_own"] <= alpha)].index]
    if overlapping:
        many = len(overlapping) > 1
        verbs = "go with it too, but add nothing" if many else "goes with it too, but adds nothing"
        sentences.append(
            f"{in_words(overlapping).capitalize()} {verbs} that the other features do not explain already."
        )
    unshown = [str(name) for name in rows[~(rows["p"] <= alpha) & ~(rows["p_own"] <= alpha)].index]
    if unshown:
        sentences.append(f"No share of its own is shown for {in_words(unshown)}.")
    return "".join(f" {sentence}" for sentence in sentences)


def _section(blocks: list[Block]) -> Section:
    return Section("population", "What the score follows over patients", blocks)


def _with_bounds(share: Interval) -> str:
    if not share.is_known:
        return percent(share.mean)
    return f"{percent(share.mean)} [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _flexible(population: PopulationShare) -> list[Block]:
    content = population.content[FLEXIBLE]
    if content is None:
        why = "at least 30 patients and a feature that varies"
        return [Text(f"A surrogate with curves and interactions takes {why}.")]
    share = {key: Interval.of(entry["share"], entry["ci"]) for key, entry in content.items()}
    return [
        Text(
            "A weighted sum misses features whose influence bends (levels off, or rises and then falls) or "
            "depends on another feature. A flexible surrogate – a curve for each feature and products of "
            "pairs, on a scale of ranks – is judged on patients it was not fitted to, so that it can lie "
            f"below the share above. It explains {_with_bounds(share[JOINT])}. To a weighted sum on the same "
            f"terms, curves add {_with_bounds(share[BENDS])} and interactions "
            f"{_with_bounds(share[INTERACTIONS])}. A sum of strongly curved parts can look like an "
            "interaction."
        )
    ]


def _beyond_sum(population: PopulationShare) -> str:
    """What bends and interactions add, where that is worth a sentence; "" where it is not."""
    content = population.content[FLEXIBLE]
    if content is None:
        return ""
    added = [
        f"{_with_bounds(Interval.of(content[key]['share'], content[key]['ci']))} more {words}"
        for key, words in (
            (BENDS, "by curves (an influence that levels off, or rises and then falls)"),
            (INTERACTIONS, "by interactions (the influence of one feature depends on another)"),
        )
        if content[key]["share"] >= _WORTH_SAYING and content[key]["ci"][0] > 0
    ]
    return " and ".join(added)
