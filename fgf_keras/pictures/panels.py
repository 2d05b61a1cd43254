"""A field around a tumour as a small picture: what reports and TensorBoard draw patients with."""

import math
from dataclasses import dataclass
from typing import NamedTuple

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


class PatientPanels(NamedTuple):
    """What is shown of a patient.

    Attributes:
        mask: (h, w), the tumour in the same box as the fields.
        panels: by `patient_panels`.
    """

    mask: np.ndarray
    panels: list[Panel]


class OwnScales:
    """What each field is drawn on: a scale of its own, as clear as can be; ∇z and its parts share one.

    Each function takes a field (h, w) and returns what is drawn, (h, w), and its limits.
    """

    def __init__(self, image, mask, gradient):
        self._mask, self._gradient = mask, gradient

    def image(self, field):
        """From the darkest to the brightest pixel of the tumour."""
        return field, tumour_range(field, self._mask)

    def gradient(self, field):
        """Symmetric about zero, up to the largest of ∇z."""
        return field, _symmetric(self._gradient)

    def feature(self, field):
        """Symmetric about zero, up to its largest."""
        return field, _symmetric(field)

    change = feature


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


def patient_panels(fields: dict, names, S: dict, F: dict, ending: str, scales) -> "PatientPanels":
    """Slice, ∇z, its parts along the features and not, ∇ of each feature, boundary and difference.

    Args:
        fields: of a patient: image, mask, seen (what the classifier was given), and those of
            `AlignmentMeasure.fields`; (H, W, C), of which the first channel is drawn.
        names: of the m features that are drawn.
        S, F: by the name of each of them, and "joint"; NaN where undefined.
        ending: how the path ended.
        scales: function of (image, mask, gradient), each (h, w), to what they are drawn on, see `OwnScales`.
    """
    box = tumour_box(fields["mask"][..., 0])
    mask, image, seen, boundary, gradient, explained = (
        fields[name][..., 0][box] for name in ("mask", "image", "seen", "boundary", "gradient", "explained")
    )
    on, change = scales(image, mask, gradient), boundary - seen
    drawn: list[tuple[str, str, tuple[np.ndarray, tuple[float, float]], bool]] = [
        ("slice", "", on.image(image), False),
        ("∇z of the score", "", on.gradient(gradient), True),
        ("explained part of ∇z", shares_caption(S["joint"], F["joint"]), on.gradient(explained), True),
        ("unexplained part", f"1 − S {share_text(1 - S['joint'])}", on.gradient(gradient - explained), True),
    ]
    for name, field in zip(names, fields["features"]):
        title = f"∇ {name.replace('_', ' ')}"
        drawn.append((title, shares_caption(S[name], F[name]), on.feature(field[..., 0][box]), True))
    drawn += [
        ("at the boundary", ending, on.image(boundary), False),
        ("boundary − slice", f"at most {share_text(float(np.abs(change).max()))}", on.change(change), True),
    ]
    panels = [Panel(title, caption, *on_scale, signed) for title, caption, on_scale, signed in drawn]
    return PatientPanels(mask, panels)


def shares_caption(pointwise: float, flow: float) -> str:
    """S and F of a patient, as pictures have them."""
    return f"S {share_text(pointwise)}  F {share_text(flow)}"


def share_text(value: float) -> str:
    """Three decimals, or that there is no number."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _symmetric(field):
    largest = float(np.abs(field).max())
    # A field of zeros, and one that is not finite, is drawn all the same.
    largest = largest if 0 < largest < math.inf else 1.0
    return -largest, largest
