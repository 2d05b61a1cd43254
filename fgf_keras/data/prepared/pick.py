"""One slice of a volume mask, by rule."""

from collections.abc import Callable

import numpy as np

from fgf_keras.data.prepared.masks import MaskStack
from fgf_keras.errors import DataError


def _largest_area(crossed, areas):
    # argmax takes the first of equals.
    return crossed[np.argmax(areas)]


def _middle(crossed, areas):
    return crossed[len(crossed) // 2]


def _centroid(crossed, areas):
    # In integers, so that a half is a half: floor(mean + 1/2).
    target = (2 * int(crossed @ areas) + int(areas.sum())) // (2 * int(areas.sum()))
    return crossed[np.argmin(abs(crossed - target))]


RULES: dict[str, Callable[[np.ndarray, np.ndarray], int]] = {
    "largest_area": _largest_area,
    "middle": _middle,
    "centroid": _centroid,
}


def pick_slice(mask: MaskStack | np.ndarray, rule: str = "largest_area") -> int:
    """The index of the slice to look at; it always holds at least one pixel of the mask.

    - `largest_area`: the slice with most pixels inside; of equals the one with the lowest index.
    - `middle`: the one in the middle of the slices that the mask crosses; of an even number the upper of
      the two middle ones.
    - `centroid`: the mean slice index over all pixels inside, rounded (a half up); where the mask does not
      cross that slice the nearest one that it does, of equals the lower.

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
