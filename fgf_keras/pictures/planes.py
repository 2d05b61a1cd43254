"""Volumes as pictures: three orthogonal slices through the centre of the tumour, in one plane."""

from collections.abc import Sequence

import numpy as np

# Where they are: axial at the top, coronal below it, sagittal beside the coronal one.
LAYOUT = "axial (top), coronal, sagittal"
SENTENCE = (
    "Volumes are shown as three slices through the centre of the tumour, in mm: axial (top), coronal (bottom "
    "left) and sagittal (bottom right), the latter two with the last slice at the top."
)
# Pixels between the slices.
GAP = 1


def volume_box(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    """The part of a volume that holds the tumour with a margin in voxels, inside the volume."""
    voxels = np.argwhere(mask > 0)
    start = np.maximum(voxels.min(axis=0) - margin, 0)
    stop = np.minimum(voxels.max(axis=0) + margin + 1, mask.shape)
    return tuple(slice(int(a), int(b)) for a, b in zip(start, stop))


class Planes:
    """Three orthogonal slices of volumes on one grid, each with square pixels as wide as the finest spacing.

    Args:
        mask: (D, H, W), the tumour, whose centre the slices go through.
        spacing: (z, y, x) mm.
    """

    def __init__(self, mask: np.ndarray, spacing: Sequence[float] | np.ndarray) -> None:
        self._centre = np.rint(np.argwhere(mask > 0).mean(axis=0)).astype(int)
        spacing = np.asarray(spacing, np.float64)
        unit = spacing.min()
        # The voxel under each pixel along each axis.
        self._voxels = [
            np.minimum(((np.arange(max(1, round(n * mm / unit))) + 0.5) * unit / mm).astype(int), n - 1)
            for n, mm in zip(mask.shape, spacing)
        ]

    def of(self, field: np.ndarray) -> np.ndarray:
        """The slices of a field (D, H, W) in a square (h, h) float; NaN between and around them."""
        (z, y, x), (slices, rows, columns) = self._centre, self._voxels
        axial = field[z][np.ix_(rows, columns)]
        coronal = field[:, y][np.ix_(slices[::-1], columns)]
        sagittal = field[:, :, x][np.ix_(slices[::-1], rows)]
        height, width = len(rows) + GAP + len(slices), len(columns) + GAP + len(rows)
        edge = max(height, width)
        square = np.full((edge, edge), np.nan)
        top, left = (edge - height) // 2, (edge - width) // 2
        below, beside = top + len(rows) + GAP, left + len(columns) + GAP
        square[top : top + len(rows), left : left + len(columns)] = axial
        square[below : below + len(slices), left : left + len(columns)] = coronal
        square[below : below + len(slices), beside : beside + len(rows)] = sagittal
        return square

    def marks_of(self, marked: np.ndarray) -> np.ndarray:
        """As `of`, for a bool field; False between and around the slices."""
        return np.nan_to_num(self.of(marked)) > 0
