"""Polygons around the pixels of a mask, the inverse of `rasterise`."""

import numpy as np

# Steps in (row, column) of the four headings: right, down, left, up. The next one is a right turn.
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def outline(mask: np.ndarray) -> list[np.ndarray]:
    """Trace the sides of pixels between inside and outside, with the inside on the right.

    Every vertex is a corner of a pixel, half a pixel away from the nearest centres, so `fill_polygons`
    returns the mask exactly, regardless of the rounding of coordinates. Every component and every hole has
    its own polygon, and no polygon touches itself: pixels that touch only at a corner are separate.

    Args:
        mask: (rows, columns) bool.

    Returns:
        Polygons, each (N, 2) float64 (row, column), with a vertex where the direction changes; none for an
        empty mask.
    """
    padded = np.pad(np.asarray(mask, bool), 1)
    inside = padded[1:-1, 1:-1]
    # The neighbour across each side of a pixel, and the corner at which the side starts, clockwise.
    neighbours = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    corners = ((0, 0), (0, 1), (1, 1), (1, 0))
    leaving: dict[tuple[int, ...], list[int]] = {}
    for heading, (neighbour, corner) in enumerate(zip(neighbours, corners)):
        for vertex in map(tuple, (np.argwhere(inside & ~neighbour) + corner).tolist()):
            leaving.setdefault(vertex, []).append(heading)
    # Row by row, the first upper side of a polygon that is not traced yet starts at one of its corners.
    tops = sorted(vertex for vertex, headings in leaving.items() if 0 in headings)
    polygons: list[list[tuple[int, ...]]] = []
    traced: set[tuple[int, ...]] = set()
    for top in tops:
        if top not in traced:
            polygons += _trace(leaving, top, traced)
    return [np.array(polygon, np.float64) - 0.5 for polygon in polygons]


def _trace(
    leaving: dict[tuple[int, ...], list[int]], start: tuple[int, ...], traced: set[tuple[int, ...]]
) -> list[list[tuple[int, ...]]]:
    """The border with the upper side at `start`, cut where it touches itself; marks its upper sides."""
    vertex: tuple[int, ...] = start
    heading = 0
    polygon: list[tuple[int, ...]] = [start]
    cut: list[list[tuple[int, ...]]] = []
    while True:
        if heading == 0:
            traced.add(vertex)
        vertex = (vertex[0] + STEPS[heading][0], vertex[1] + STEPS[heading][1])
        right = (heading + 1) % 4
        ahead = right if right in leaving[vertex] else leaving[vertex][0]
        if vertex == start and ahead == 0:
            return [polygon, *cut]
        if len(leaving[vertex]) > 1 and vertex in polygon:
            first = polygon.index(vertex)
            cut.append(polygon[first:])
            del polygon[first + 1 :]
        elif ahead != heading:
            polygon.append(vertex)
        heading = ahead
