"""Signed effects of features per sample, in units that a reader knows."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fgf_keras.errors import ConfigError
from fgf_keras.features.units import Unit, is_constant

# Quantities per unit of a feature.
_PER_UNIT = ("slope", "slope_alone", "slope_class", "slope_alone_class")


def in_units(values: Mapping[str, np.ndarray], units: Sequence[Unit]) -> dict[str, np.ndarray]:
    """The arrays of `AlignmentMeasure` with values, changes and slopes of features in reported units.

    Args:
        values: arrays by name; the last axis of those that are converted has m entries.
        units: of the m features.
    """
    scale = np.array([unit.scale for unit in units])
    offset = np.array([unit.offset for unit in units])
    converted = {key: values[key] / scale for key in _PER_UNIT if key in values}
    converted["value"] = offset + scale * values["value"]
    if "change" in values:  # a path was followed
        converted["change"] = scale * values["change"]
    return {**values, **converted}


def with_effects(
    values: Mapping[str, np.ndarray], names: Sequence[str], reference_sd: Mapping[str, float | None]
) -> tuple[dict[str, np.ndarray], dict[str, float | None]]:
    """Add `effect` (N, m): slope times the standard deviation of the feature over a reference cohort.

    Args:
        values: in reported units, see `in_units`.
        names: of the m features.
        reference_sd: by name, in reported units; see `checked_sd`.

    Returns:
        The arrays, and the standard deviation by name, None for a feature that does not vary.

    Raises:
        ConfigError: see `checked_sd`.
    """
    sd = checked_sd(names, reference_sd)
    row = np.array(list(sd.values()), np.float64)
    effects = {"effect": values["slope"] * row}
    if "slope_class" in values:
        effects["effect_class"] = values["slope_class"] * row
    return {**values, **effects}, sd


def checked_sd(names: Sequence[str], reference_sd: Mapping[str, float | None]) -> dict[str, float | None]:
    """Standard deviations by name, in the order of the features; None for features that do not vary.

    A feature that does not vary over the reference cohort (0, NaN or None) has no effect of one standard
    deviation.

    Raises:
        ConfigError: a feature is missing, or a standard deviation is negative or infinite.
    """
    missing = [name for name in names if name not in reference_sd]
    if missing:
        raise ConfigError(
            f"reference_sd needs a standard deviation for every feature. Missing: {', '.join(missing)}."
        )
    given = {name: reference_sd[name] for name in names}
    sd = {name: math.nan if value is None else float(value) for name, value in given.items()}
    wrong = [f"{name} {value:g}" for name, value in sd.items() if value < 0 or math.isinf(value)]
    if wrong:
        raise ConfigError(f"reference_sd must be finite and not negative. Received: {', '.join(wrong)}.")
    return {name: value if value > 0 else None for name, value in sd.items()}


def standard_deviations(values: np.ndarray) -> np.ndarray:
    """The standard deviation of each feature over samples (N, m), (m,).

    NaN for a feature that is constant up to rounding, or with fewer than two samples where it is finite.
    """
    deviations = np.full(values.shape[1], np.nan)
    for i, column in enumerate(np.asarray(values, np.float64).T):
        finite = column[np.isfinite(column)]
        if len(finite) > 1 and not is_constant(finite):
            deviations[i] = finite.std(ddof=1)
    return deviations


def reference_of(values: np.ndarray, names: Sequence[str], units: Sequence[Unit]) -> dict[str, float]:
    """The standard deviation of each feature by name, in reported units; NaN for one that does not vary.

    Args:
        values: (N, m) of the reference cohort, before units: whether a feature varies is a question about its
            own values, without the offset of HU.
        names, units: of the m features.
    """
    deviations = standard_deviations(values)
    return {name: deviation * unit.scale for name, deviation, unit in zip(names, deviations, units)}
