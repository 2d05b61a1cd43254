"""A field around a tumour as a small picture: what reports and TensorBoard draw patients with."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps

# Pixels around the tumour that are shown with it.
MARGIN = 8
CONTOUR = "#e0a000"


@dataclass(frozen=True)
class Panel:
    """A field around a tumour.

    Attributes:
        title: what it is.
        caption: figures of this patient.
        field: (h, w).
        limits: values drawn darkest and brightest, or for a signed field bluest and reddest.
        signed: drawn in red and blue rather than in grey.
    """

    title: str
    caption: str
    field: np.ndarray
    limits: tuple[float, float]
    signed: bool

    @property
    def colours(self) -> str:
        """Name of the map from values to colours."""
        return "RdBu_r" if self.signed else "gray"


def panel_pixels(panel: Panel, mask, edge: int) -> np.ndarray:
    """A panel with the contour of the mask (h, w), each pixel repeated until its edge is at least so many px.

    Returns:
        (h', w', 3) uint8.
    """
    low, high = panel.limits
    share = np.clip((panel.field - low) / (high - low), 0, 1)
    pixels = colormaps[panel.colours](share, bytes=True)[..., :3]
    factor = max(1, math.ceil(edge / len(mask)))
    pixels, inside = (np.repeat(np.repeat(a, factor, 0), factor, 1) for a in (pixels, mask > 0))
    padded = np.pad(inside, 2)
    n, m = inside.shape
    # Two pixels wide, inside the tumour.
    core = np.logical_and.reduce(
        [padded[2 + i : 2 + i + n, 2 + j : 2 + j + m] for i in (-2, 0, 2) for j in (-2, 0, 2)]
    )
    pixels[inside & ~core] = [int(CONTOUR[i : i + 2], 16) for i in (1, 3, 5)]
    return pixels


def tumour_range(image, mask) -> tuple[float, float]:
    """The range inside the tumour: what lies outside may be clipped."""
    inside = image[mask > 0]
    return float(inside.min()), float(max(inside.max(), inside.min() + 1e-6))


def tumour_box(mask):
    """Slices of the tumour with a margin, square, inside the canvas."""
    where = np.argwhere(mask > 0)
    low, high = where.min(axis=0) - MARGIN, where.max(axis=0) + MARGIN + 1
    edge = min(int((high - low).max()), *mask.shape)
    start = [int(np.clip((a + b - edge) // 2, 0, n - edge)) for a, b, n in zip(low, high, mask.shape)]
    return tuple(slice(s, s + edge) for s in start)


def shares_caption(pointwise: float, flow: float) -> str:
    """S and F of a patient, as pictures have them."""
    return f"S {share_text(pointwise)}  F {share_text(flow)}"


def share_text(value: float) -> str:
    """Three decimals, or that there is no number."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"
