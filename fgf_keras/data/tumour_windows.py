"""Windows of the canvas that contain a tumour at every rotation."""

from collections.abc import Sequence

import numpy as np

from fgf_keras.data.canvas import bounds


def tumour_window(
    mask: np.ndarray, spacing: Sequence[float] | np.ndarray, degrees: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The smallest window on the canvas that contains a tumour at every rotation about its centre.

    Args:
        mask: (H, W), not empty.
        spacing: (y, x) mm.
        degrees: largest rotation in either direction, 0..180, in mm space. 0 gives the bounding box.

    Returns:
        origin (2,), the first row and column; edges (2,), the number of rows and columns; centre (2,), the
        mean row and column of the tumour on the canvas.
    """
    spacing = np.asarray(spacing, np.float64)
    first, extent = bounds(mask)
    inside = np.argwhere(mask[first[0] : first[0] + extent[0], first[1] : first[1] + extent[1]]) + first
    centre = inside.mean(axis=0)
    if not degrees:
        return first, extent, centre
    # Interpolation extends a tumour by one pixel in both directions.
    margin = 1 + np.hypot(*spacing) / spacing
    y, x = ((inside - centre) * spacing).T
    before = np.array([_reach(-y, x, degrees), _reach(-x, y, degrees)]) / spacing + margin
    after = np.array([_reach(y, x, degrees), _reach(x, y, degrees)]) / spacing + margin
    origin = np.maximum(np.floor(centre - before), 0).astype(int)
    end = np.minimum(np.ceil(centre + after) + 1, mask.shape).astype(int)
    return origin, end - origin, centre


def _reach(along: np.ndarray, across: np.ndarray, degrees: float) -> float:
    """How far points extend in one direction if they are rotated by at most an angle in either direction."""
    angle = np.abs(np.arctan2(across, along))
    return (np.hypot(along, across) * np.cos(np.maximum(angle - np.radians(degrees), 0))).max()
