"""Which pixel centres lie inside polygons."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from fgf_keras.errors import DataError

# Crossings closer than this to a pixel centre, relative to the coordinates, are decided in exact arithmetic:
# far above the rounding error of a crossing.
NEAR = 1e-9
# Pixels. What lies further out is damage, not a drawing, and would overflow.
FARTHEST = 1e9


def fill_polygons(contours: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Mark the pixels whose centre is inside by the even-odd rule over all contours together.

    Pixel (i, j) has its centre at row i, column j. Vertices are used as they are; nothing is rounded. A
    centre exactly on an edge belongs to the side of higher row and column index: of a square from 1 to 3, the
    rows and columns 1 and 2 are inside. So two polygons that share an edge never both claim a centre on it,
    and never both miss it. Vertices outside the image are allowed.

    Args:
        contours: each (N, 2), the (row, column) of its vertices; closed by itself.
        shape: (rows, columns) of the image.

    Returns:
        (rows, columns) bool.

    Raises:
        DataError: contours of another shape, or vertices that are not finite.
    """
    rows, columns = shape
    starts, ends = _edges(contours)
    # Every edge runs downwards, so that an edge shared by two polygons gives the same crossings for both.
    upwards = starts[:, 0] > ends[:, 0]
    starts, ends = np.where(upwards[:, None], ends, starts), np.where(upwards[:, None], starts, ends)
    # The rows r with start <= r < end: an edge's lower end belongs to the next edge.
    first = np.ceil(np.clip(starts[:, 0], 0, rows)).astype(np.int64)
    behind = np.ceil(np.clip(ends[:, 0], 0, rows)).astype(np.int64)
    count = behind - first
    edge = np.repeat(np.arange(len(first)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    column = _first_columns_inside(starts[edge], ends[edge], row, columns)
    inside = np.zeros(shape, bool)
    if not len(row):
        return inside
    # Nothing is inside beyond the outermost crossings: a contour is small against the image.
    (top, left), (bottom, right) = (row.min(), column.min()), (row.max() + 1, column.max() + 1)
    width = right - left
    toggles = np.bincount((row - top) * width + column - left, minlength=(bottom - top) * width)
    # Wrapping at 256 keeps the parity.
    parity = np.cumsum(toggles.reshape(-1, width).astype(np.uint8), axis=1, dtype=np.uint8) & 1
    # Behind the last crossing of a row the parity is even again; a crossing at `columns` is beyond the image.
    inside[top:bottom, left : right - 1] = parity[:, : width - 1]
    return inside


def _edges(contours):
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


def _first_columns_inside(start, end, row, columns):
    """The first column at or behind the crossing of each downward edge with its row, within 0..columns."""
    share = (row - start[:, 0]) / (end[:, 0] - start[:, 0])
    crossing = np.clip(start[:, 1] + share * (end[:, 1] - start[:, 1]), -1, columns + 1)
    column = np.ceil(crossing)
    nearest = np.round(crossing)
    reach = NEAR * np.maximum(1, np.maximum(abs(start), abs(end)).max(axis=1, initial=0))
    for i in np.flatnonzero(abs(crossing - nearest) < reach):
        before = _at_or_before(start[i], end[i], int(row[i]), int(nearest[i]))
        column[i] = nearest[i] + (not before)
    return np.clip(column, 0, columns).astype(np.int64)


def _at_or_before(start, end, row, column):
    """Whether the edge crosses the row at or before the column, without rounding."""
    (top, left), (bottom, right) = map(Fraction, map(float, start)), map(Fraction, map(float, end))
    return (row - top) * (right - left) <= (column - left) * (bottom - top)
