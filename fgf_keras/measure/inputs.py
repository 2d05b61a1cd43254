"""Checks of the images and spacings that are measured."""

from collections.abc import Sequence

import numpy as np

from fgf_keras.config.data import IMAGE_RANGE, ROUNDING
from fgf_keras.data.slices import listing
from fgf_keras.errors import DataError
from fgf_keras.models.input_gradient import Classifier


def check_shape(classifier: Classifier, images: np.ndarray) -> None:
    """Refuse images of another shape than the classifier takes."""
    expected = getattr(classifier, "input_shape", None)
    if not isinstance(expected, tuple):
        return
    if len(expected) != 4 or any(e not in (None, got) for e, got in zip(expected[1:], images.shape[1:])):
        raise DataError(
            f"The classifier takes images of shape {expected}. Received: images of shape {images.shape}. "
            "Pad or resample them to the size that the classifier was trained on."
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


def spacing_per_sample(spacing: np.ndarray | Sequence[float] | None, count: int) -> np.ndarray:
    """Spacing of pixels of each sample, (N, 2) mm, from one for all, one for each, or None for 1 mm."""
    spacing = np.asarray([1.0, 1.0] if spacing is None else spacing, np.float64)
    if spacing.shape not in ((2,), (count, 2)) or not np.all(np.isfinite(spacing) & (spacing > 0)):
        raise DataError(
            f"spacing must be positive, of shape (2,) or ({count}, 2): (row, column) in mm. "
            f"Received: shape {spacing.shape}."
        )
    return np.broadcast_to(spacing, (count, 2))
