"""Checks of the images and spacings that are measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fgf_keras.config.data import IMAGE_RANGE, ROUNDING
from fgf_keras.data.slices import check_values, listing
from fgf_keras.errors import DataError
from fgf_keras.models.input_gradient import Classifier

# Axes of a batch by what it holds.
_KINDS = {
    2: ("table", "(samples, columns)"),
    3: ("sequence", "(samples, times, channels)"),
    4: ("image", "(samples, rows, columns, channels)"),
    5: ("volume", "(samples, slices, rows, columns, channels)"),
}
_MISSING_AXIS = (
    " One sample alone needs a batch axis, x[np.newaxis], and grey images a channel axis, x[..., np.newaxis]."
)


def check_samples(ids: np.ndarray, images: np.ndarray, masks: np.ndarray, noun: str = "sample") -> None:
    """Refuse samples that cannot be measured.

    Args:
        ids: (N,) for the messages.
        images: (N, …, C), a table, sequences, images or volumes.
        masks: (N, …, 1).
        noun: what a sample is.

    Raises:
        DataError: shapes that do not fit, values that are not finite, masks with values other than 0 and 1 or
            without a single 1; the message names the samples.
    """
    count = len(ids)
    if not count:
        raise DataError(f"At least one {noun} is needed. Received: none.")
    check_rank(images.shape)
    if images.dtype.kind not in "fiub" and images.dtype.name != "bfloat16":
        raise DataError(f"Samples must be numbers. Received: values of type {images.dtype}.")
    if masks.ndim != images.ndim:
        raise DataError(
            f"Samples of shape {images.shape} and masks of shape {masks.shape} differ in number of axes."
            + _MISSING_AXIS
        )
    if masks.shape != (*images.shape[:-1], 1):
        raise DataError(
            f"masks must have shape {(*images.shape[:-1], 1)}, like the {_KINDS[images.ndim][0]}s with one "
            f"channel. Received: shape {masks.shape}."
        )
    check_values(ids, images, masks, noun, "pixel" if images.ndim > 3 else "value")


def check_rank(shape: Sequence[int]) -> None:
    """Refuse what has the shape of no batch of samples."""
    if len(shape) not in _KINDS:
        shapes = "; ".join(f"{name}s {axes}" for name, axes in _KINDS.values())
        raise DataError(f"Samples must be one of: {shapes}. Received: shape {tuple(shape)}." + _MISSING_AXIS)


def check_lengths(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse inputs, by the names to report, whose first axes differ in length or are missing."""
    if len({array.shape[:1] for array in arrays.values()}) > 1:
        lengths = ", ".join(
            f"{name} {array.shape[0] if array.shape else 'without axes'}" for name, array in arrays.items()
        )
        raise DataError(
            f"All inputs need one entry per sample along their first axis. Received: {lengths}. One "
            "sample alone needs a batch axis: x[np.newaxis]."
        )


def check_unique(ids: np.ndarray, what: str = "patient_id") -> None:
    """Refuse names that several samples have.

    Args:
        ids: (N,).
        what: the argument that they are from.
    """
    names, times = np.unique(ids, return_counts=True)
    if len(names) < len(ids):
        raise DataError(f"{what} must name each sample once. More than once: {listing(names[times > 1])}.")


def check_others(ids: np.ndarray, others: Mapping[Any, np.ndarray], noun: str = "sample") -> None:
    """Refuse other inputs of the classifier, by name, that are not finite."""
    for name, array in others.items():
        if np.issubdtype(array.dtype, np.floating):
            broken = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
            if broken.any():
                raise DataError(
                    f"The input {name!r} must be finite. NaN or infinite in: {listing(ids[broken])}. Repair "
                    f"or drop these {noun}s."
                )


def check_shape(classifier: Classifier, given: Sequence[int | None]) -> None:
    """Refuse samples of another shape (None, …, C) than the classifier takes."""
    expected = getattr(classifier, "input_shape", None)
    if not isinstance(expected, tuple):
        return
    given = tuple(given)
    fits = len(expected) == len(given)
    if not fits or any(e not in (None, got) for e, got in zip(expected[1:], given[1:])):
        kind = "images" if len(expected) == 4 else f"{_KINDS.get(len(expected), ('sample',))[0]}s"
        advice = (
            " Pad or resample them to the size that the classifier was trained on."
            if len(expected) > 3
            else " Give it the columns or the length that it was trained on."
        )
        raise DataError(
            f"The classifier takes {kind} of shape {expected}. Received: {kind} of shape {given}."
            + (advice if len(given) >= len(expected) else _MISSING_AXIS)
        )


def check_range(ids: np.ndarray, images: np.ndarray, masks: np.ndarray | None) -> None:
    """Refuse images, or their tumours if masks are given, that lie outside the range of a bounded path."""
    low, high = IMAGE_RANGE
    seen = (image if masks is None else image * masks[i] for i, image in enumerate(images))
    limits = np.array([(image.min(), image.max()) for image in seen])
    outside = (limits[:, 0] < low - ROUNDING) | (limits[:, 1] > high + ROUNDING)
    if outside.any():
        raise DataError(
            f"A bounded path stays in [{low:g}, {high:g}], and images must lie there. Received: values from "
            f"{limits[:, 0].min():g} to {limits[:, 1].max():g}, outside in {listing(ids[outside])}. Map the "
            "intensities to [0, 1] in training too, or use Flow(range='free')."
        )


def spacing_per_sample(spacing: np.ndarray | Sequence[float] | None, count: int, axes: int = 2) -> np.ndarray:
    """Spacing of each sample, (N, s) mm, from one for all, one for each, or None for 1 mm.

    Args:
        spacing: (s,) or (N, s), in the order of the axes, or None.
        count: N.
        axes: s, number of axes besides the first and the last.
    """
    spacing = np.asarray(np.ones(axes) if spacing is None else spacing, np.float64)
    if spacing.shape not in ((axes,), (count, axes)) or not np.all(np.isfinite(spacing) & (spacing > 0)):
        order = {2: ": (row, column) in mm", 3: ": (slice, row, column) in mm"}.get(axes, "")
        raise DataError(
            f"spacing must be positive, of shape ({axes},) or ({count}, {axes}){order}. "
            f"Received: shape {spacing.shape}."
        )
    return np.broadcast_to(spacing, (count, axes))


def indexable(array: Any) -> Any:
    """Arrays that can be sliced without loading them whole are left as they are."""
    if isinstance(array, pd.DataFrame):
        try:
            return array.to_numpy(np.float64)
        except (TypeError, ValueError) as error:
            wrong = [name for name, kind in array.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
            raise DataError(f"A table needs numbers. Encode or drop the columns {listing(wrong)}.") from error
    lazy = hasattr(array, "shape") and hasattr(array, "__getitem__") and not hasattr(array, "numpy")
    try:
        return array if lazy else np.asarray(array)
    except ValueError as error:
        raise DataError(
            f"The samples do not make one array ({error}). Resample or pad them to one shape; of a list of "
            "several inputs, name the one to differentiate: fgf_keras.Score(model, input=0)."
        ) from error


def everywhere(shape: Sequence[int]) -> np.ndarray:
    """A mask (N, …, 1) of ones for samples of shape (N, …, C), which takes no memory."""
    return np.broadcast_to(np.ones((), np.float32), (*shape[:-1], 1))


def rows_of(array: Any, rows: slice | np.ndarray) -> np.ndarray:
    """Some rows of an array that can be sliced."""
    if isinstance(array, np.ndarray) or isinstance(rows, slice):
        return np.asarray(array[rows])
    # Not every array that can be sliced takes a list of rows.
    return np.stack([np.asarray(array[int(row)]) for row in rows])
