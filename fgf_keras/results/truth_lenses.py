"""Lenses besides alignment in the tables of known laws: the population share and the size of the effect."""

from collections.abc import Sequence

import pandas as pd

from fgf_keras.results.interval import UNDEFINED, Interval
from fgf_keras.results.metrics import PartMetrics

LENSES = ("population", "effect")


def lens_columns(part: PartMetrics, support: str, feature: str) -> dict[str, float]:
    """The columns population and effect, each with _low and _high, and population_p.

    The population share is that of the ranks. The effect is the size of the mean effect of one standard
    deviation, whatever its sign: laws may use a feature in either direction. NaN where it is undefined.

    Args:
        part: metrics of the test patients.
        support: where gradients were compared.
        feature: its name, or "joint", which has no effect.
    """
    population = {} if part.population is None else part.population.by_feature("ranks")
    share, p = population.get(feature, (UNDEFINED, float("nan")))
    effects = part.effects[support]
    rows = effects[(effects["feature"] == feature) & (effects["quantity"] == "effect")]
    effect = UNDEFINED if rows.empty else size(Interval.of_means(rows.iloc[0]))
    columns = {"population_p": p}
    for name, interval in zip(LENSES, (share, effect)):
        columns |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return columns


def size(effect: Interval) -> Interval:
    """The absolute value of an effect with its interval, which begins at 0 where the sign is not known."""
    low, high = sorted((abs(effect.low), abs(effect.high)))
    return Interval(abs(effect.mean), 0.0 if effect.low <= 0 <= effect.high else low, high)


def are_apart(by_feature: pd.DataFrame, lens: str, used: Sequence[str]) -> bool:
    """Whether the intervals of all used features lie above those of all others.

    Args:
        by_feature: rows of one trial, indexed by feature.
        lens: "population" or "effect".
        used: names of the used features.
    """
    lowest = by_feature.loc[list(used), f"{lens}_low"].min()
    return bool(lowest > by_feature[f"{lens}_high"].drop(list(used)).max())
