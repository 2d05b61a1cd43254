"""What one axis of a map of the background, and of a stage that is computed in a window, looks like."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Axis(NamedTuple):
    """One axis of a background map: `head` pixels affected by the border, the interior, and `tail` more.

    The interior is constant, so few pixels stand for all: the head, one pixel of the interior, the tail.
    """

    size: int
    head: int
    tail: int

    @property
    def few(self) -> int:
        """Number of pixels that stand for all."""
        return min(self.size, self.head + 1 + self.tail)

    def selection(self, pixels: np.ndarray) -> np.ndarray:
        """Which of the few stands for each of n pixels: (n, few) of zeros and ones, zeros off the canvas."""
        pixels = pixels[:, np.newaxis]
        index = np.minimum(pixels, np.maximum(self.head, pixels - (self.size - self.few)))
        on_canvas = (pixels >= 0) & (pixels < self.size)
        return ((np.arange(self.few) == index) & on_canvas).astype(np.float32)


class Step(NamedTuple):
    """One axis of a stage, from pixels to cells: a kernel, then adjacent pools that start at pixel 0."""

    kernel: int
    pool: int
    before: Axis
    after: Axis

    @classmethod
    def of(cls, kernel: int, pool: int, axis: Axis, is_first: bool) -> "Step":
        """The step along an axis."""
        size = axis.size // pool
        if is_first:
            # The zeros off the canvas continue those of the image, so the border has no effect.
            return cls(kernel, pool, axis, Axis(size, 0, 0))
        head = -(-(axis.head + (kernel - 1) // 2) // pool)
        tail = size - (axis.size - axis.tail - kernel // 2) // pool
        return cls(kernel, pool, axis, Axis(size, min(head, size), min(tail, size)))

    @property
    def margin(self) -> int:
        """Number of pixels off the canvas that the first cell reads."""
        return (self.kernel - 1) // 2

    def cells(self, pixels: int | tf.Tensor) -> int | tf.Tensor:
        """The largest number of cells that this many neighbouring pixels can affect."""
        cells = (pixels + self.kernel + self.pool - 3) // self.pool + 1
        return min(cells, self.after.size) if isinstance(cells, int) else tf.minimum(cells, self.after.size)

    def pixels(self, cells: int | tf.Tensor) -> int | tf.Tensor:
        """The number of pixels that neighbouring cells read."""
        return cells * self.pool + self.kernel - 1

    def read_by_few(self) -> np.ndarray:
        """The pixels that are read by the cells that stand for all.

        They are neighbours if those cells are. Pixels between the interior and the tail are left out. Cells
        on both sides read across the gap, where all pixels belong to the interior.
        """
        pixels = np.arange(self.pixels(self.after.few)) - self.margin
        gap = (self.after.size - self.after.few) * self.pool
        return np.where(pixels < (self.after.head + 1) * self.pool, pixels, pixels + gap)

    def read_by_all(self) -> np.ndarray:
        """The pixels that are read by any cell."""
        return np.arange(self.pixels(self.after.size)) - self.margin
