"""Cropping of volumes to a box around the tumour, at a given spacing, without cutting the tumour."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from fgf_keras.config.data import DataConfig
from fgf_keras.data.canvas import AIR_HU, bounds
from fgf_keras.data.refusal import SourceError

# Ratios of spacings that differ from 1 by less are rounding of the file format.
SAME_SPACING = 1e-4


class BoxRule(NamedTuple):
    """How volumes are cropped.

    Attributes:
        shape: (slices, rows, columns) of the box.
        spacing_mm: (z, y, x) mm of its voxels.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, float, float]

    @classmethod
    def of(cls, config: DataConfig) -> "BoxRule | None":
        """The rule of a configuration; None for slices."""
        if config.dimension == 2:
            return None
        z, y, x = config.spacing
        return cls(config.shape, (z, y, x))


class Box(NamedTuple):
    """A grid of voxels around a tumour, on the axes of its scan.

    Attributes:
        shape: (slices, rows, columns) of the box.
        corner: (3,) position of its first voxel, in voxels of the scan.
        ratio: (3,) its spacing over that of the scan.
        scan_shape: (slices, rows, columns) of the scan.
    """

    shape: tuple[int, ...]
    corner: np.ndarray
    ratio: np.ndarray
    scan_shape: tuple[int, ...]

    @classmethod
    def around(
        cls,
        mask: np.ndarray,
        spacing: Sequence[float] | np.ndarray,
        *,
        shape: Sequence[int],
        spacing_mm: Sequence[float] | np.ndarray,
    ) -> "Box":
        """The box in whose middle the bounding box of a tumour lies.

        Along an axis on which both spacings are equal, voxels keep their positions, and values are copied.

        Args:
            mask: (slices, rows, columns) bool, not empty.
            spacing: (z, y, x) mm of the mask.
            shape: (slices, rows, columns) of the box.
            spacing_mm: (z, y, x) mm of the box.

        Raises:
            SourceError: `too_large` if the tumour would be cut.
        """
        ratio = np.asarray(spacing_mm, np.float64) / np.asarray(spacing, np.float64)
        ratio = np.where(abs(ratio - 1) < SAME_SPACING, 1.0, ratio)
        first, extent = bounds(mask)
        size = np.asarray(shape)
        needed = np.ceil(extent / ratio - 1e-9).astype(int)
        if (needed > size).any():
            raise SourceError(
                "too_large",
                f"The tumour spans {_by(needed)} voxels, more than the box of {_by(size)}.",
                f"Set data.size=[{', '.join(map(str, np.maximum(needed, size)))}] or more, or a larger "
                "data.spacing.",
            )
        middle = first + (extent - 1) / 2 - ratio * (size - 1) / 2
        corner = np.where(ratio == 1, first - (size - extent) // 2, middle)
        return cls(tuple(int(n) for n in size), corner, ratio, mask.shape)

    @property
    def source(self) -> tuple[slice, ...]:
        """The part of the scan that the box needs: a slice per axis, never empty."""
        # The Gaussian filter of `sampled` reaches this far.
        margin = np.where(self.ratio == 1, 0, np.ceil(4 * np.maximum(0, (self.ratio - 1) / 2)) + 1)
        last = self.corner + self.ratio * (np.array(self.shape) - 1)
        start = np.clip(np.floor(self.corner - margin), 0, np.array(self.scan_shape) - 1).astype(int)
        stop = np.clip(np.ceil(last + margin) + 1, start + 1, self.scan_shape).astype(int)
        return tuple(slice(int(a), int(b)) for a, b in zip(start, stop))

    def hu(self, block: np.ndarray) -> np.ndarray:
        """HU of the box, float32, interpolated linearly; air outside the scan.

        Args:
            block: HU of the part `source` of the scan.
        """
        return self._sampled(block, AIR_HU).astype(np.float32)

    def mask(self, block: np.ndarray) -> np.ndarray:
        """The mask of the box, uint8: 1 where the linearly interpolated mask is at least one half.

        Args:
            block: mask (bool) of the part `source` of the scan.

        Raises:
            SourceError: `vanished` if no voxel of the tumour is left.
        """
        inside = self._sampled(block, 0.0) >= 0.5
        if not inside.any():
            raise SourceError(
                "vanished",
                f"Nothing of the {int(np.count_nonzero(block))} voxels of the tumour is left.",
                "Choose a smaller data.spacing.",
            )
        return inside.astype(np.uint8)

    def _sampled(self, block: np.ndarray, outside: float) -> np.ndarray:
        """Values of the box, after a Gaussian filter of (ratio - 1)/2 voxels along axes that get coarser."""
        values = block.astype(np.float64)
        if (self.ratio > 1).any():
            values = ndimage.gaussian_filter(values, np.maximum(0, (self.ratio - 1) / 2), mode="nearest")
        offset = self.corner - [part.start for part in self.source]
        box = ndimage.affine_transform(values, self.ratio, offset, self.shape, order=1, mode="nearest")
        for axis, size in enumerate(self.shape):
            position = self.corner[axis] + self.ratio[axis] * np.arange(size)
            beyond = (position < -0.5) | (position > self.scan_shape[axis] - 0.5)
            np.moveaxis(box, axis, 0)[beyond] = outside
        return box


def cropped(
    mask: np.ndarray,
    hu_of: Callable[[int], np.ndarray],
    spacing: Sequence[float] | np.ndarray,
    *,
    shape: Sequence[int],
    spacing_mm: Sequence[float] | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """A scan in a box around its tumour; only the slices that the box needs are read.

    Args:
        mask: (slices, rows, columns) bool, not empty.
        hu_of: the HU (rows, columns) of a slice by its index.
        spacing, shape, spacing_mm: see `Box.around`.

    Returns:
        HU float32 and mask uint8, each (slices, rows, columns) of the box.

    Raises:
        SourceError: `too_large` or `vanished`.
    """
    box = Box.around(mask, spacing, shape=shape, spacing_mm=spacing_mm)
    slices, *plane = box.source
    block = np.stack([hu_of(index)[tuple(plane)] for index in range(slices.start, slices.stop)])
    return box.hu(block), box.mask(mask[box.source])


def middle_slice(mask: np.ndarray) -> int:
    """The middle one of the slices that a mask (slices, rows, columns) spans."""
    first, extent = bounds(mask)
    return int(first[0] + extent[0] // 2)


def _by(size: np.ndarray) -> str:
    return "x".join(str(count) for count in size)
