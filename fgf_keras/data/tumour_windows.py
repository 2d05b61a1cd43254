"""Rectangles of the canvas that hold a tumour, however it is turned."""

import numpy as np

from fgf_keras.data.canvas import bounding_box


def tumour_window(mask: np.ndarray, spacing, degrees: float = 0.0):
    """The smallest rectangle that holds a tumour at every rotation about its centre, as far as on the canvas.

    Args:
        mask: (H, W), not empty.
        spacing: (y, x) mm.
        degrees: at most this much either way, 0..180; a rotation in mm. 0 gives the bounding box.

    Returns:
        origin (2,), its first row and column; edges (2,), its rows and columns; centre (2,), mean row and
        column of the tumour on the canvas.
    """
    spacing = np.asarray(spacing, np.float64)
    first, extent = np.split(np.array(bounding_box(mask)), 2)
    inside = np.argwhere(mask[first[0] : first[0] + extent[0], first[1] : first[1] + extent[1]]) + first
    centre = inside.mean(axis=0)
    if not degrees:
        return first, extent, centre
    # An interpolated tumour reaches a pixel farther than the drawn one, in both directions.
    margin = 1 + np.hypot(*spacing) / spacing
    y, x = ((inside - centre) * spacing).T
    before = np.array([_reach(-y, x, degrees), _reach(-x, y, degrees)]) / spacing + margin
    after = np.array([_reach(y, x, degrees), _reach(x, y, degrees)]) / spacing + margin
    origin = np.maximum(np.floor(centre - before), 0).astype(int)
    end = np.minimum(np.ceil(centre + after) + 1, mask.shape).astype(int)
    return origin, end - origin, centre


def _reach(along, across, degrees):
    """How far points get in one direction when turned by at most some angle either way."""
    to_turn = np.abs(np.arctan2(across, along))
    return (np.hypot(along, across) * np.cos(np.maximum(to_turn - np.radians(degrees), 0))).max()
