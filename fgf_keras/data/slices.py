"""Checks that apply to slices and volumes of every source."""

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
    """Refuse slices or volumes that cannot be measured.

    Args:
        patient_id: (N,) ids for the messages.
        images: (N, H, W, C) or (N, D, H, W, C).
        masks: (N, H, W, 1) or (N, D, H, W, 1).

    Raises:
        DataError: shapes that do not match, pixels that are not finite, masks with values other than 0 and 1
            or without a single 1; the message names the patients.
    """
    patient_id = np.asarray(patient_id)
    count = len(patient_id)
    if not count:
        raise DataError("At least one patient is needed. Received: none.")
    if images.ndim not in (4, 5) or images.shape[0] != count:
        raise DataError(
            f"images must have shape (patients, rows, columns, channels) for {count} patients, or, for "
            f"volumes, (patients, slices, rows, columns, channels). Received: shape {images.shape}."
        )
    if masks.shape != (*images.shape[:-1], 1):
        raise DataError(
            f"masks must have shape {(*images.shape[:-1], 1)}, like the images with one channel. "
            f"Received: shape {masks.shape}."
        )
    check_values(patient_id, images, masks)


def check_values(
    ids: np.ndarray, images: np.ndarray, masks: np.ndarray, noun: str = "patient", pixel: str = "pixel"
) -> None:
    """Refuse images that are not finite, and masks that are not 0 or 1 or are empty.

    Args:
        ids: (N,) of the samples, for the messages.
        images: (N, …, C).
        masks: (N, …, 1).
        noun: what a sample is.
        pixel: what its values are.

    Raises:
        DataError: names the samples.
    """
    count = len(ids)
    # One sample at a time: booleans for the whole cohort would double the memory.
    broken = {i: n for i in range(count) if (n := int((~np.isfinite(images[i])).sum()))}
    if broken:
        counted = listing(f"{ids[i]} ({n} {pixel}{'s' * (n != 1)})" for i, n in broken.items())
        raise DataError(f"images must be finite. NaN or infinite: {counted}. Repair or drop these {noun}s.")
    other = {i: values for i in range(count) if len(values := _neither_0_nor_1(masks[i]))}
    if other:
        received = listing(f"{value:g}" for value in np.unique(np.concatenate([*other.values()])))
        raise DataError(
            f"masks must hold 0 and 1 only. Other values: {received}, in {noun}s "
            f"{listing(ids[[*other]])}. Use mask > 0 if it counts regions, mask > 0.5 if it is a "
            "fraction."
        )
    empty = [i for i in range(count) if not masks[i].any()]
    if empty:
        raise DataError(
            f"masks must mark at least one pixel. Empty: {listing(ids[empty])}. "
            + ("Choose a slice that the tumour crosses" if noun == "patient" else "Mark at least one")
            + f", or drop these {noun}s."
        )


def _neither_0_nor_1(mask: np.ndarray) -> np.ndarray:
    """The values of a mask other than 0 and 1."""
    return np.unique(mask[(mask != 0) & (mask != 1)])
