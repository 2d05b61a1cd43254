"""A mask on a series, stored as the planes that are not empty."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class MaskStack:
    """A binary mask on the grid of a series.

    Attributes:
        shape: (slices, rows, columns) of the series.
        planes: (rows, columns) bool by slice index, only planes with at least one pixel, in ascending order.
    """

    shape: tuple[int, int, int]
    planes: dict[int, np.ndarray]

    def __bool__(self) -> bool:
        return bool(self.planes)

    def volume(self) -> np.ndarray:
        """(slices, rows, columns) bool."""
        volume = np.zeros(self.shape, bool)
        for index, plane in self.planes.items():
            volume[index] = plane
        return volume

    def areas(self) -> np.ndarray:
        """(slices,) int64, number of pixels inside the mask on each slice."""
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
