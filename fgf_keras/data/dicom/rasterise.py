"""Rasterisation of polygons by pixel centres."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from fgf_keras.errors import DataError

# Crossings closer than this to a pixel centre, relative to the coordinates, are decided in exact arithmetic;
# the rounding error of a crossing is much smaller.
NEAR = 1e-9
# Pixels. Coordinates further out are damaged, and would overflow.
FARTHEST = 1e9


def fill_polygons(contours: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Mark the pixels whose centre is inside by the even-odd rule over all contours together.

    Pixel (i, j) has its centre at row i, column j. Vertices are not rounded. A centre exactly on an edge
    belongs to the side with the higher row and column index: for a square from 1 to 3, rows and columns 1 and
    2 are inside. Therefore, a centre on an edge shared by two polygons belongs to exactly one of them.
    Vertices outside the image are allowed.

    Args:
        contours: each (N, 2), the (row, column) of its vertices; closed implicitly.
        shape: (rows, columns) of the image.

    Returns:
        (rows, columns) bool.

    Raises:
        DataError: contours of another shape, or vertices that are not finite.
    """
    rows, columns = shape
    starts, ends = _edges(contours)
    # All edges run downwards, so that an edge shared by two polygons has the same crossings for both.
    upwards = starts[:, 0] > ends[:, 0]
    starts, ends = np.where(upwards[:, None], ends, starts), np.where(upwards[:, None], starts, ends)
    # The rows r with start <= r < end: the lower end of an edge belongs to the next edge.
    first = np.ceil(np.clip(starts[:, 0], 0, rows)).astype(np.int64)
    stop = np.ceil(np.clip(ends[:, 0], 0, rows)).astype(np.int64)
    count = stop - first
    edge = np.repeat(np.arange(len(first)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    column = _first_columns_inside(starts[edge], ends[edge], row, columns)
    inside = np.zeros(shape, bool)
    if not len(row):
        return inside
    # Restricted to the bounding box of the crossings, because contours are small compared with the image.
    (top, left), (bottom, right) = (row.min(), column.min()), (row.max() + 1, column.max() + 1)
    width = right - left
    toggles = np.bincount((row - top) * width + column - left, minlength=(bottom - top) * width)
    # Overflow at 256 does not change the parity.
    parity = np.cumsum(toggles.reshape(-1, width).astype(np.uint8), axis=1, dtype=np.uint8) & 1
    # After the last crossing of a row the parity is even again; a crossing at `columns` is outside the image.
    inside[top:bottom, left : right - 1] = parity[:, : width - 1]
    return inside


def _edges(contours: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    starts, ends = [np.empty((0, 2))], [np.empty((0, 2))]
    for contour in contours:
        vertices = np.asarray(contour, np.float64)
        if vertices.ndim != 2 or vertices.shape[1] != 2:
            raise DataError(f"A contour must have shape (N, 2). Received: shape {vertices.shape}.")
        if not (abs(vertices) <= FARTHEST).all():
            raise DataError(
                f"The vertices of a contour must be finite and within {FARTHEST:g} pixels. Received: "
                "NaN, infinity or a larger value."
            )
        starts.append(vertices)
        ends.append(np.roll(vertices, -1, axis=0))
    return np.concatenate(starts), np.concatenate(ends)


def _first_columns_inside(start: np.ndarray, end: np.ndarray, row: np.ndarray, columns: int) -> np.ndarray:
    """The first column at or after the crossing of each downward edge with its row, within 0..columns."""
    share = (row - start[:, 0]) / (end[:, 0] - start[:, 0])
    crossing = np.clip(start[:, 1] + share * (end[:, 1] - start[:, 1]), -1, columns + 1)
    column = np.ceil(crossing)
    nearest = np.round(crossing)
    reach = NEAR * np.maximum(1, np.maximum(abs(start), abs(end)).max(axis=1, initial=0))
    for i in np.flatnonzero(abs(crossing - nearest) < reach):
        is_before = _at_or_before(start[i], end[i], int(row[i]), int(nearest[i]))
        column[i] = nearest[i] + (not is_before)
    return np.clip(column, 0, columns).astype(np.int64)


def _at_or_before(start: np.ndarray, end: np.ndarray, row: int, column: int) -> bool:
    """Whether an edge crosses a row at or before a column, in exact arithmetic."""
    (top, left), (bottom, right) = map(Fraction, map(float, start)), map(Fraction, map(float, end))
    return (row - top) * (right - left) <= (column - left) * (bottom - top)
