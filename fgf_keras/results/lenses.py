"""All lenses on each feature side by side: what the score follows, by how much, and what it reacts to."""

import math
from dataclasses import dataclass
from typing import Any

from fgf_keras.results.columns import share_column
from fgf_keras.results.interval import UNDEFINED, Interval
from fgf_keras.results.run import RunResult

# Of two features, one is first in a lens only if the other has less than this part of its size; intervals of
# features of the same patients overlap too easily to decide.
CLEARLY_LESS = 0.75


@dataclass(frozen=True)
class FeatureLenses:
    """What each lens says of one feature, on the first support and the reported part; NaN where unknown.

    Attributes:
        name: of the feature.
        population: its share of the variation of the score over patients, by ranks.
        population_p: of that share, by permutation.
        moved: change of the score when tumours are changed by +1 standard deviation.
        effect: the same by the slope at the image.
        S, F: alignment at the patients and on the way to the boundary.
        collapse: AUC that is lost when all tumours have the same value.
    """

    name: str
    population: Interval
    population_p: float
    moved: Interval
    effect: Interval
    S: Interval
    F: Interval
    collapse: Interval


def feature_lenses(result: RunResult, features: list[str]) -> list[FeatureLenses]:
    """What each lens says of each feature.

    Args:
        result: of the evaluation.
        features: names of the features.
    """
    part, support = result.part, result.part.supports[0]
    population = part.population.by_feature("ranks") if part.population else {}
    moved = moved_by_one(result.behaviour)
    effects = part.effects[support].set_index(["feature", "quantity"])
    collapse = (result.collapse or {"features": {}})["features"]

    def effect(name: str) -> Interval:
        key = name, "effect"
        return Interval.of_means(effects.loc[key]) if key in effects.index else UNDEFINED

    def drop(name: str) -> Interval:
        entry = collapse.get(name, {}).get("auc")
        return Interval.of_summary(entry["drop"]) if entry else UNDEFINED

    lenses = []
    for name in features:
        share, p = population.get(name, (UNDEFINED, math.nan))
        lenses.append(
            FeatureLenses(
                name=name,
                population=share,
                population_p=p,
                moved=moved.get(name, UNDEFINED),
                effect=effect(name),
                S=part[share_column(support, "S", name)],
                F=part[share_column(support, "F", name)],
                collapse=drop(name),
            )
        )
    return lenses


def moved_by_one(behaviour: dict[str, Any] | None) -> dict[str, Interval]:
    """The mean change of the score when tumours are changed by +1 standard deviation, by feature."""
    changes = {}
    for name, entry in (behaviour or {"features": {}})["features"].items():
        for move in entry["moves"]:
            if move["amount"] == 1:
                changes[name] = Interval.of_summary(move["score_change"])
    return changes


def leading(sizes: dict[str, float]) -> list[str]:
    """The names with the largest size, and those not clearly smaller; without those that are undefined."""
    known = {name: abs(size) for name, size in sizes.items() if size == size}
    largest = max(known.values(), default=0.0)
    ranked = sorted(known, key=lambda name: -known[name])
    return [name for name in ranked if known[name] > 0 and known[name] >= CLEARLY_LESS * largest]


def followed_features(result: RunResult, alpha: float) -> list[str]:
    """The features that the score follows, see `PopulationShare.followed`; none where that is unknown."""
    population = result.part.population
    followed = population.followed(alpha) if population and not population.reason else []
    # Clinical columns have population shares as well, and no alignment.
    features = set(result.part.table["feature"])
    return [name for name in followed if name in features]
