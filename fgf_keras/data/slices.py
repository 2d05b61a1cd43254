"""Checks that apply to slices of every source."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from fgf_keras.errors import DataError

LISTED = 10


def listing(items: Iterable[object]) -> str:
    """The first ten items as text, and the total number if there are more."""
    names = [str(item) for item in items]
    more = f", … ({len(names)} in all)" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def check_slices(patient_id: ArrayLike, images: np.ndarray, masks: np.ndarray) -> None:
    """Refuse slices that cannot be measured.

    Args:
        patient_id: (N,) ids for the messages.
        images: (N, H, W, C).
        masks: (N, H, W, 1).

    Raises:
        DataError: shapes that do not match, pixels that are not finite, masks with values other than 0 and 1
            or without a single 1; the message names the patients.
    """
    patient_id = np.asarray(patient_id)
    count = len(patient_id)
    if not count:
        raise DataError("At least one patient is needed. Received: none.")
    if images.ndim != 4 or images.shape[0] != count:
        raise DataError(
            f"images must have shape (patients, rows, columns, channels) for {count} patients. "
            f"Received: shape {images.shape}."
        )
    if masks.shape != (*images.shape[:3], 1):
        raise DataError(
            f"masks must have shape {(*images.shape[:3], 1)}, like the images with one channel. "
            f"Received: shape {masks.shape}."
        )
    # One patient at a time: booleans for the whole cohort would double the memory.
    broken = {i: n for i in range(count) if (n := int((~np.isfinite(images[i])).sum()))}
    if broken:
        counted = listing(f"{patient_id[i]} ({n} pixels)" for i, n in broken.items())
        raise DataError(f"images must be finite. NaN or infinite: {counted}. Repair or drop these slices.")
    other = {i: values for i in range(count) if len(values := _neither_0_nor_1(masks[i]))}
    if other:
        received = listing(f"{value:g}" for value in np.unique(np.concatenate([*other.values()])))
        raise DataError(
            f"masks must hold 0 and 1 only. Other values: {received}, in patients "
            f"{listing(patient_id[[*other]])}. Use mask > 0 if it counts regions, mask > 0.5 if it is a "
            "fraction."
        )
    empty = [i for i in range(count) if not masks[i].any()]
    if empty:
        raise DataError(
            f"masks must mark at least one pixel. Empty: {listing(patient_id[empty])}. "
            "Choose a slice that the tumour crosses, or drop these patients."
        )


def _neither_0_nor_1(mask: np.ndarray) -> np.ndarray:
    """The values of a mask other than 0 and 1."""
    return np.unique(mask[(mask != 0) & (mask != 1)])
