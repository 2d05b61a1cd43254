"""A mask over a series, held as the planes that it crosses."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class MaskStack:
    """A binary mask on the grid of a series.

    Attributes:
        shape: (slices, rows, columns) of the series.
        planes: slice index to (rows, columns) bool, only planes with at least one pixel, in rising order.
    """

    shape: tuple[int, int, int]
    planes: dict[int, np.ndarray]

    def __bool__(self):
        return bool(self.planes)

    def volume(self) -> np.ndarray:
        """(slices, rows, columns) bool."""
        volume = np.zeros(self.shape, bool)
        for index, plane in self.planes.items():
            volume[index] = plane
        return volume

    def areas(self) -> np.ndarray:
        """(slices,) int64, pixels inside on each slice."""
        areas = np.zeros(self.shape[0], np.int64)
        for index, plane in self.planes.items():
            areas[index] = np.count_nonzero(plane)
        return areas

    def __or__(self, other: "MaskStack") -> "MaskStack":
        """The union of two masks on one grid."""
        planes = dict(self.planes)
        for index, plane in other.planes.items():
            planes[index] = planes[index] | plane if index in planes else plane
        return MaskStack(self.shape, dict(sorted(planes.items())))
