"""What every set of slices must satisfy, wherever it comes from."""

import numpy as np

from fgf_keras.errors import DataError

LISTED = 10


def listing(items) -> str:
    """The first ten of many names, and how many more there are."""
    items = [str(item) for item in items]
    more = f", … ({len(items)} in all)" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more


def check_slices(patient_id, images, masks):
    """Refuse slices that cannot be measured.

    Args:
        patient_id: (N,) names for the messages.
        images: (N, H, W, C).
        masks: (N, H, W, 1).

    Raises:
        DataError: shapes that do not fit, pixels that are not finite, masks with other values than 0 and 1
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
    # Patient by patient: a whole cohort's worth of booleans would double the memory.
    broken = {i: n for i in range(count) if (n := int((~np.isfinite(images[i])).sum()))}
    if broken:
        counted = listing(f"{patient_id[i]} ({n} pixels)" for i, n in broken.items())
        raise DataError(f"images must be finite. NaN or infinite: {counted}. Repair or drop these slices.")
    other = {i: values for i in range(count) if len(values := _neither_0_nor_1(masks[i]))}
    if other:
        values = listing(f"{value:g}" for value in np.unique(np.concatenate([*other.values()])))
        raise DataError(
            f"masks must hold 0 and 1 only. Other values: {values}, in patients "
            f"{listing(patient_id[[*other]])}. Use mask > 0 if it counts regions, mask > 0.5 if it is a "
            "fraction."
        )
    empty = [i for i in range(count) if not masks[i].any()]
    if empty:
        raise DataError(
            f"masks must mark at least one pixel. Empty: {listing(patient_id[empty])}. "
            "Choose a slice that the tumour crosses, or drop these patients."
        )


def _neither_0_nor_1(mask):
    """The values of a mask that it should not have."""
    return np.unique(mask[(mask != 0) & (mask != 1)])
