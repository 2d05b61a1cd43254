"""Panels: small pictures of a field around a tumour, which reports and TensorBoard show of each patient."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from matplotlib import colormaps

from fgf_keras.config.data import IMAGE_RANGE, ROUNDING
from fgf_keras.pictures.planes import LAYOUT, SENTENCE, Planes, volume_box

# Pixels shown around the tumour.
MARGIN = 8
CONTOUR = "#e0a000"
# Red and blue of medium brightness, which can be told from white and from black.
RAISES, LOWERS = (214, 55, 45), (45, 115, 215)
# Of pixels outside the range of the images, and how much of it is mixed in.
OUTSIDE, _OPACITY = "#e0309a", 0.6
OUTSIDE_NOTE = "Pink: pixels of the tumour that the path has taken out of the range of the images, [0, 1]."
# A field (h, w) as it is drawn, and its limits.
Scaled = tuple[np.ndarray, tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """A field around a tumour.

    Attributes:
        title: name of the field.
        caption: metrics of this patient.
        field: (h, w); NaN where nothing is drawn.
        limits: values drawn darkest and brightest or, for a signed field, bluest and reddest.
        signed: whether the field is drawn in red and blue rather than in grey.
        marked: (h, w) bool, pixels to tint; None for none.
    """

    title: str
    caption: str
    field: np.ndarray
    limits: tuple[float, float]
    signed: bool
    marked: np.ndarray | None = None

    @property
    def colours(self) -> str:
        """Name of the matplotlib colormap."""
        return "RdBu_r" if self.signed else "gray"


class PatientPanels(NamedTuple):
    """The panels of a patient.

    Attributes:
        mask: (h, w), the tumour in the same box as the fields.
        panels: see `patient_panels`.
        note: how volumes are shown; empty for slices.
    """

    mask: np.ndarray
    panels: list[Panel]
    note: str = ""


class Scales(Protocol):
    """Scales for drawing the fields of a patient.

    Each method takes a field (h, w) or (d, h, w) and returns the field as it is drawn and its limits.
    """

    def image(self, field: np.ndarray, /) -> Scaled:
        """Scale an image."""

    def gradient(self, field: np.ndarray, /) -> Scaled:
        """Scale ∇z or one of its parts."""

    def feature(self, field: np.ndarray, /) -> Scaled:
        """Scale the gradient of a feature."""

    def change(self, field: np.ndarray, /) -> Scaled:
        """Scale the difference of two images."""


class OwnScales:
    """Scales that use the full range of each field; only ∇z and its parts share one scale.

    See `Scales` for the methods.
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, gradient: np.ndarray) -> None:
        self._mask, self._gradient = mask, gradient

    def image(self, field: np.ndarray) -> Scaled:
        """From the darkest to the brightest pixel of the tumour."""
        return field, tumour_range(field, self._mask)

    def gradient(self, field: np.ndarray) -> Scaled:
        """Symmetric about zero, up to the largest of ∇z."""
        return field, _symmetric(self._gradient)

    def feature(self, field: np.ndarray) -> Scaled:
        """Symmetric about zero, up to its largest."""
        return field, _symmetric(field)

    change = feature


def panel_pixels(panel: Panel, mask: np.ndarray, edge: int) -> np.ndarray:
    """Draw a panel with the contour of the mask (h, w), enlarged until its edge is at least `edge` px.

    Returns:
        (h', w', 3) uint8.
    """
    return _enlarged(_coloured(panel), mask, edge)


def see_through_pixels(panel: Panel, mask: np.ndarray, edge: int) -> np.ndarray:
    """As `panel_pixels`, with a signed field in red and blue that let the page through where it is near zero.

    So a gradient is drawn on the background of a page, light or dark, and stands out on both.

    Returns:
        (h', w', 4) uint8.
    """
    if not panel.signed:
        opacity = np.where(np.isnan(panel.field), 0, 255).astype(np.uint8)
        pixels = np.concatenate([_coloured(panel), opacity[..., np.newaxis]], axis=-1)
        return _enlarged(pixels, mask, edge)
    value = np.nan_to_num(2 * _share(panel)[..., np.newaxis] - 1)
    colour = np.where(value > 0, RAISES, LOWERS)
    pixels = np.concatenate([colour, np.round(255 * np.abs(value))], axis=-1).astype(np.uint8)
    return _enlarged(pixels, mask, edge)


def _coloured(panel: Panel) -> np.ndarray:
    """(h, w, 3) uint8, white where there is no field."""
    pixels = colormaps[panel.colours](_share(panel), bytes=True)[..., :3].copy()
    pixels[np.isnan(panel.field)] = 255
    if panel.marked is not None:
        tint = _OPACITY * np.array(_rgb(OUTSIDE)) + (1 - _OPACITY) * pixels[panel.marked]
        pixels[panel.marked] = np.round(tint)
    return pixels


def _share(panel: Panel) -> np.ndarray:
    low, high = panel.limits
    return np.asarray(np.clip((panel.field - low) / (high - low), 0, 1))


def _enlarged(pixels: np.ndarray, mask: np.ndarray, edge: int) -> np.ndarray:
    """Pixels (h, w, channels) with the contour of the mask, enlarged until the edge is at least `edge` px."""
    factor = max(1, math.ceil(edge / len(mask)))
    pixels, inside = (np.repeat(np.repeat(a, factor, 0), factor, 1) for a in (pixels, mask > 0))
    padded = np.pad(inside, 2)
    n, m = inside.shape
    # Two pixels wide, inside the tumour.
    core = np.logical_and.reduce(
        [padded[2 + i : 2 + i + n, 2 + j : 2 + j + m] for i in (-2, 0, 2) for j in (-2, 0, 2)]
    )
    contour = _rgb(CONTOUR)
    pixels[inside & ~core] = contour if pixels.shape[-1] == 3 else [*contour, 255]
    return pixels


def tumour_range(image: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """The range of values inside the tumour; values outside may be clipped."""
    inside = image[mask > 0]
    return float(inside.min()), float(max(inside.max(), inside.min() + 1e-6))


def tumour_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The slices of rows and columns that cut out the tumour with a margin: a square inside the canvas."""
    pixels = np.argwhere(mask > 0)
    low, high = pixels.min(axis=0) - MARGIN, pixels.max(axis=0) + MARGIN + 1
    edge = min(int((high - low).max()), *mask.shape)
    start = [int(np.clip((a + b - edge) // 2, 0, n - edge)) for a, b, n in zip(low, high, mask.shape)]
    return tuple(slice(s, s + edge) for s in start)


def patient_panels(
    fields: Mapping[str, Any],
    names: Sequence[str],
    S: Mapping[str, float],
    F: Mapping[str, float],
    ending: str,
    scales: Callable[[np.ndarray, np.ndarray, np.ndarray], Scales],
) -> PatientPanels:
    """Slice, ∇z, its explained and unexplained part, ∇ of each feature, image at the boundary, difference.

    Args:
        fields: of a patient: image, mask, seen (the input of the classifier), and those of
            `AlignmentMeasure.fields`; (H, W, C), of which the first channel is drawn. Of volumes (D, H, W,
            C), three orthogonal slices are drawn, with "spacing" (3,) in mm, by default 1.
        names: of the m features that are drawn.
        S, F: by the name of each feature, and "joint"; NaN where undefined.
        ending: how the path ended.
        scales: function of (image, mask, gradient), each (h, w) or (d, h, w), that returns the scales,
            e.g. `OwnScales`.
    """
    whole = fields["mask"][..., 0]
    is_volume = whole.ndim == 3
    box = volume_box(whole, MARGIN // 2) if is_volume else tumour_box(whole)
    noun = "volume" if is_volume else "slice"
    mask, image, seen, boundary, gradient, explained = (
        fields[name][..., 0][box] for name in ("mask", "image", "seen", "boundary", "gradient", "explained")
    )
    on, change = scales(image, mask, gradient), boundary - seen
    outside = outside_pixels(seen, boundary, mask)
    share = outside.sum() / max((mask > 0).sum(), 1)
    if share:
        ending = f"{ending}, {share:.0%} outside".removeprefix(", ")
    rows: list[tuple[str, str, Scaled, bool]] = [
        (noun, LAYOUT if is_volume else "", on.image(image), False),
        ("∇z of the score", "", on.gradient(gradient), True),
        ("explained part of ∇z", shares_caption(S["joint"], F["joint"]), on.gradient(explained), True),
        ("unexplained part", f"1 − S {share_text(1 - S['joint'])}", on.gradient(gradient - explained), True),
    ]
    for name, field in zip(names, fields["features"]):
        title = f"∇ {name.replace('_', ' ')}"
        rows.append((title, shares_caption(S[name], F[name]), on.feature(field[..., 0][box]), True))
    rows += [
        ("at the boundary", ending, on.image(boundary), False),
        (f"boundary − {noun}", f"at most {share_text(float(np.abs(change).max()))}", on.change(change), True),
    ]
    panels = [Panel(title, caption, *scaled, signed) for title, caption, scaled, signed in rows]
    panels[-2] = dataclasses.replace(panels[-2], marked=outside)
    if is_volume:
        return _in_planes(mask, panels, fields.get("spacing", np.ones(3)))
    return PatientPanels(mask, panels)


def _in_planes(mask: np.ndarray, panels: list[Panel], spacing: np.ndarray) -> PatientPanels:
    """Panels of volumes as those of three orthogonal slices."""
    planes = Planes(mask, spacing)
    shown = [
        dataclasses.replace(
            panel,
            field=planes.of(panel.field),
            marked=None if panel.marked is None else planes.marks_of(panel.marked),
        )
        for panel in panels
    ]
    return PatientPanels(planes.marks_of(mask > 0).astype(np.float32), shown, SENTENCE)


def outside_pixels(seen: np.ndarray, boundary: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The pixels of the tumour outside the range of the images at the end of a path, bool.

    None if the sample is not in this range itself: the range of its images is unknown.

    Args:
        seen, boundary, mask: (h, w) or (d, h, w), the image where the path starts and where it ends, and the
            tumour.
    """
    low, high = IMAGE_RANGE[0] - ROUNDING, IMAGE_RANGE[1] + ROUNDING
    known = bool(np.all((seen >= low) & (seen <= high)))
    return known & (mask > 0) & ((boundary < low) | (boundary > high))


def shares_caption(pointwise: float, flow: float) -> str:
    """S and F of a patient as the caption of a panel."""
    return f"S {share_text(pointwise)}  F {share_text(flow)}"


def share_text(value: float) -> str:
    """A number with three decimals, or "undefined"."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _symmetric(field: np.ndarray) -> tuple[float, float]:
    largest = float(np.abs(field).max())
    # Also draws a field of zeros, or one that is not finite.
    largest = largest if 0 < largest < math.inf else 1.0
    return -largest, largest
