"""The overview of a comparison: the main results, the question, and the arms."""

import pandas as pd

from fgf_keras.config.protocol import ComparedArm
from fgf_keras.config.truth import LawArm
from fgf_keras.report.document import Block, Bullets, Callout, Section, Table, Terms, Text, Tiles
from fgf_keras.report.sections.question import GLOSSARY, QUESTION
from fgf_keras.report.sections.reward import reduced_in_words, reward_in_words
from fgf_keras.report.words import TRUST
from fgf_keras.results.interval import number
from fgf_keras.results.study import Study

COMPARED = (
    "Here several networks are compared that differ in the reward they were trained with alone: every arm "
    "sees the same patients in the same parts, with the same seeds."
)
KNOWN_LAWS = (
    "Here networks are compared that learned from phantoms whose labels follow laws that are known, another "
    "law in every arm and another phantom in every repeat: what alignment should find is known too. Arms "
    "differ in their patients, so that there are no paired differences."
)
MOST_ARMS = 4


def detailed_arms(study: Study) -> list[str]:
    """Names of the arms that are shown in detail: all or, if there are many, the first and the chosen."""
    if len(study.arms) <= MOST_ARMS:
        return study.arms
    chosen = [arm for arm in study.chosen.values() if arm]
    return [study.arms[0], *(chosen or study.arms[1:MOST_ARMS])]


def overview_section(study: Study) -> Section:
    """The main results in short."""
    arms, trials, splits = study.arms, study.trials, study.trials["repeat"].nunique()
    sentences = [
        f"{len(arms)} arms ({', '.join(arms)}) on {splits} split{'s' * (splits != 1)} of the cohort: "
        f"{len(trials)} trainings, {len(study.failures)} of them failed. Figures are of the "
        f"{study.part} part."
    ]
    if study.protocol.empty:
        sentences.append(
            "One split and one seed: differences within the intervals mean nothing. protocol.repeats trains "
            "the arms on several."
        )
    # Under known laws, arms have no patients in common.
    elif study.config.truth is None:
        sentences += _verdicts(study.protocol, study.headlines)
        sentences.append("Verdicts are one by one, not corrected for the number of figures and arms.")
    tiles = []
    for arm in arms[:MOST_ARMS]:
        values = trials[trials["arm"] == arm]["auc"]
        spread = (
            f"± {number(values.std())} over {values.count()} splits" if splits > 1 else _bounds(study, arm)
        )
        tiles.append((f"AUC, {arm}", number(values.mean()), spread))
    blocks: list[Block] = [Tiles(tiles), Bullets([*sentences, TRUST])]
    if study.failures:
        lines = [f"{name}: {error}" for name, error in study.failures.items()]
        blocks.append(Callout("Failed trainings", lines, "warning"))
    return Section("summary", "In short", blocks)


def _verdicts(table: pd.DataFrame, titles: dict[str, str]) -> list[str]:
    """One sentence per significant difference, and one for all others."""
    if "verdict" not in table:
        return []
    compared = table[table["figure"].isin(titles) & table["verdict"].notna()]
    significant = (compared["difference_low"] > 0) | (compared["difference_high"] < 0)
    sentences = [f"{sentence}." for sentence in compared[significant]["verdict"]]
    first = table["arm"].iloc[0]
    if not significant.any():
        return [f"No difference from {first} is shown for any arm in {', '.join(titles.values())}."]
    others = compared[~significant].groupby("arm", sort=False)["figure"]
    rest = "; ".join(f"{arm}: {', '.join(titles[name] for name in names)}" for arm, names in others)
    return sentences + ([f"No difference from {first} is shown of {rest}."] if rest else [])


def _bounds(study: Study, arm: str) -> str:
    parts = (study.part_of(key) for key in study.metrics if key[1] == arm)
    auc = next((part["auc"] for part in parts if part), None)
    return "" if auc is None else f"interval {number(auc.low)} to {number(auc.high)}"


def comparison_question_section(study: Study) -> Section:
    """The question, the glossary, and the table of the arms."""
    config = study.config
    if config.truth is None:
        lead, header = COMPARED, ["arm", "reward"]
        rows = [[arm.name, _reward(study, arm)] for arm in config.arms]
    else:
        lead, header = KNOWN_LAWS, ["arm", "law of the labels", "share of positive patients"]
        rows = [[arm.name, _law(arm), f"{arm.prevalence:g}"] for arm in config.laws]
    arms = Table("The arms", header, rows, words=True)
    return Section("question", "What was asked", [Text(QUESTION), Text(lead), arms, Terms(GLOSSARY)])


def _reward(study: Study, arm: ComparedArm) -> str:
    trained = [metrics for (_, name), metrics in study.metrics.items() if name == arm.name and metrics]
    reduced = reduced_in_words([metrics.content.get("training", {}) for metrics in trained])
    return reward_in_words(arm.reward) + (f"; {reduced}" if reduced else "")


def _law(arm: LawArm) -> str:
    used = {name: value for name, value in arm.law.model_dump().items() if value}
    return (
        ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in used.items())
        or "none, random labels"
    )
