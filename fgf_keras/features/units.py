"""Units in which the values of features are reported."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fgf_keras.errors import ConfigError
from fgf_keras.features.base import Feature

# Differences of values below this fraction of the largest value are rounding errors.
ROUNDING = 1e-6


class Unit(NamedTuple):
    """The unit of a feature: its reported value is `offset` + `scale` times that of `Feature.value`.

    Attributes:
        symbol: "HU", "mm", or "" for none.
        scale: reported units per unit of the feature.
        offset: reported value of a feature that is 0.
    """

    symbol: str
    scale: float = 1.0
    offset: float = 0.0


def unit_of(feature: Feature, hu_window: Sequence[float] | None = None) -> Unit:
    """The unit of a feature: HU for intensities if the window is known.

    Args:
        feature: of images in [0, 1].
        hu_window: (low, high), the HU range that the images were mapped from; None if it is unknown.

    Raises:
        ConfigError: the window is not two numbers, the lower first.
    """
    if hu_window is None or not feature.of_intensity:
        return Unit(feature.unit)
    window = np.asarray(hu_window, np.float64)
    if window.shape != (2,) or not np.isfinite(window).all() or window[0] >= window[1]:
        raise ConfigError(f"hu_window must be (low, high) in HU, the lower first. Received: {hu_window!r}.")
    low, high = map(float, window)
    return Unit("HU", high - low, low)


def is_constant(values: np.ndarray) -> bool:
    """Whether values (N,) are all the same up to rounding."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())
