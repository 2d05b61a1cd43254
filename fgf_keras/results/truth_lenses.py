"""Lenses besides alignment in the tables of known laws: population share, effect, and moved tumours."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from fgf_keras.results.effects import SIZE
from fgf_keras.results.interval import UNDEFINED, Interval
from fgf_keras.results.metrics import PartMetrics

LENSES = ("population", "effect", "moved")


def lens_columns(
    part: PartMetrics, support: str, feature: str, behaviour: dict[str, Any] | None
) -> dict[str, float]:
    """The columns population, effect and moved, each with _low and _high, and population_p.

    The population share is that of the ranks. Effect and moved are the sizes of the change of the score by
    one standard deviation of the feature, by the slope and when tumours are moved: laws may use a feature in
    either direction. NaN where they are undefined, or were not measured.

    Args:
        part: metrics of the test patients.
        support: where gradients were compared.
        feature: its name, or "joint", which has a population share only.
        behaviour: content of behaviour.json, or None.
    """
    population = {} if part.population is None else part.population.by_feature("ranks")
    share, p = population.get(feature, (UNDEFINED, math.nan))
    effects = part.effects[support]
    rows = effects[(effects["feature"] == feature) & (effects["quantity"] == SIZE)]
    effect = UNDEFINED if rows.empty else Interval.of_means(rows.iloc[0])
    entry = (behaviour or {"features": {}})["features"].get(feature)
    moved = UNDEFINED if entry is None else Interval.of_summary(entry["effect"])
    columns = {"population_p": p}
    for name, interval in zip(LENSES, (share, effect, moved)):
        columns |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return columns


def are_apart(by_feature: pd.DataFrame, lens: str, used: Sequence[str]) -> bool:
    """Whether the intervals of all used features lie above those of all others.

    Args:
        by_feature: rows of one trial, indexed by feature.
        lens: one of `LENSES`.
        used: names of the used features.
    """
    lowest = by_feature.loc[list(used), f"{lens}_low"].min()
    return bool(lowest > by_feature[f"{lens}_high"].drop(list(used)).max())
