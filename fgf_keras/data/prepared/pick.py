"""Rules for choosing one slice of a volume by its mask."""

from collections.abc import Callable

import numpy as np

from fgf_keras.data.prepared.masks import MaskStack
from fgf_keras.errors import DataError


def _largest_area(crossed: np.ndarray, areas: np.ndarray) -> int:
    # argmax returns the first of equal values.
    return crossed[np.argmax(areas)]


def _middle(crossed: np.ndarray, areas: np.ndarray) -> int:
    return crossed[len(crossed) // 2]


def _centroid(crossed: np.ndarray, areas: np.ndarray) -> int:
    # In integers, so that rounding is exact: floor(mean + 1/2).
    target = (2 * int(crossed @ areas) + int(areas.sum())) // (2 * int(areas.sum()))
    return crossed[np.argmin(abs(crossed - target))]


RULES: dict[str, Callable[[np.ndarray, np.ndarray], int]] = {
    "largest_area": _largest_area,
    "middle": _middle,
    "centroid": _centroid,
}


def pick_slice(mask: MaskStack | np.ndarray, rule: str = "largest_area") -> int:
    """The index of the slice that represents a volume; it contains at least one pixel of the mask.

    - `largest_area`: the slice with the most pixels inside; of equal slices the one with the lowest index.
    - `middle`: the middle one of the slices that contain mask pixels; of an even number the upper of the two
      middle ones.
    - `centroid`: the mean slice index over all pixels inside, rounded (half up); if that slice is empty, the
      nearest one that is not, of equally near ones the lower.

    Args:
        mask: a mask on a series, or its volume (slices, rows, columns).
        rule: one of the three.

    Raises:
        DataError: an unknown rule, or an empty mask.
    """
    if rule not in RULES:
        raise DataError(f"The slice rule must be one of {', '.join(RULES)}. Received: {rule!r}.")
    areas = mask.areas() if isinstance(mask, MaskStack) else np.count_nonzero(mask, axis=(1, 2))
    crossed = np.flatnonzero(areas)
    if not len(crossed):
        raise DataError("The mask is empty: there is no slice to pick. Choose another region.")
    return int(RULES[rule](crossed, areas[crossed]))
