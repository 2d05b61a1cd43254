"""Windowing and resampling of slices, and placing them on a canvas without cutting the tumour."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from fgf_keras.data.refusal import SourceError

# Fill value outside the image: air.
AIR_HU = -1024.0


def windowed(hu: np.ndarray, window: Sequence[float]) -> np.ndarray:
    """Map HU linearly from a window (low, high) to [0, 1], and clip."""
    low, high = window
    return np.clip((hu - low) / (high - low), 0, 1)


def resample(
    hu: np.ndarray, mask: np.ndarray, spacing: Sequence[float] | np.ndarray, spacing_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Resample to square pixels; the corner of the image keeps its position.

    HU are interpolated linearly, after a Gaussian filter of (ratio - 1)/2 pixels if pixels become larger, to
    avoid aliasing. The mask is resampled in the same way and thresholded at one half.

    Args:
        hu: (rows, columns).
        mask: (rows, columns) bool.
        spacing: (y, x) mm.
        spacing_mm: pixel spacing of the result.

    Returns:
        (rows', columns') float32 and bool.

    Raises:
        SourceError: `vanished` if no pixel of the mask is left.
    """
    ratio = spacing_mm / np.asarray(spacing, np.float64)
    shape = np.maximum(1, np.round(np.array(hu.shape) / ratio)).astype(int)

    def interpolated(values: np.ndarray) -> np.ndarray:
        smooth = ndimage.gaussian_filter(
            values.astype(np.float64), np.maximum(0, (ratio - 1) / 2), mode="nearest"
        )
        return ndimage.affine_transform(smooth, ratio, (ratio - 1) / 2, tuple(shape), order=1, mode="nearest")

    inside = interpolated(mask) >= 0.5
    if not inside.any():
        raise SourceError(
            "vanished",
            f"Nothing of the {int(mask.sum())} pixels of the tumour is left at {spacing_mm:g} mm.",
            "Choose a smaller data.spacing_mm.",
        )
    return interpolated(hu).astype(np.float32), inside


def place(hu: np.ndarray, mask: np.ndarray, *, size: int, centre: str) -> tuple[np.ndarray, np.ndarray]:
    """Put a slice on a square canvas; pixels that the image does not cover are air.

    Args:
        hu: (rows, columns) float32.
        mask: (rows, columns) bool, not empty.
        size: number of rows and columns of the canvas.
        centre: what is placed in the middle, `tumour` (its bounding box) or `image`.

    Returns:
        (size, size) float32 and uint8.

    Raises:
        SourceError: `too_large` if the tumour would be cut.
    """
    first, extent = bounds(mask)
    corner = first - (size - extent) // 2 if centre == "tumour" else (np.array(mask.shape) - size) // 2
    if (first < corner).any() or (first + extent > corner + size).any():
        raise _too_large(first, extent, mask.shape, size, centre)
    canvas, inside = np.full((size, size), AIR_HU, np.float32), np.zeros((size, size), np.uint8)
    start, stop = np.maximum(corner, 0), np.minimum(corner + size, mask.shape)
    source = tuple(slice(a, b) for a, b in zip(start, stop))
    target = tuple(slice(a, b) for a, b in zip(start - corner, stop - corner))
    canvas[target], inside[target] = hu[source], mask[source]
    return canvas, inside


def bounds(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First index and number of voxels of the bounding box of a mask that is not empty, along each axis."""
    axes = range(mask.ndim)
    present = [np.flatnonzero(mask.any(axis=tuple(a for a in axes if a != axis))) for axis in axes]
    return np.array([at[0] for at in present]), np.array([at[-1] - at[0] + 1 for at in present])


def _too_large(
    first: np.ndarray, extent: np.ndarray, shape: tuple[int, ...], size: int, centre: str
) -> SourceError:
    spans = f"The tumour spans {extent[0]}x{extent[1]} pixels"
    if centre == "tumour":
        return SourceError(
            "too_large",
            f"{spans}, more than the canvas of {size}x{size}.",
            f"Set data.size={extent.max()} or more, or resample with data.spacing_mm.",
        )
    # The canvas extends to both sides from the middle of the image.
    middle = np.array(shape) / 2
    least_size = int(np.ceil(2 * np.maximum(middle - first, first + extent - middle).max())) + 1
    return SourceError(
        "too_large",
        f"{spans} and reaches beyond the canvas of {size}x{size} in the middle of the image.",
        f"Set data.centre=tumour, or data.size={least_size} or more.",
    )
