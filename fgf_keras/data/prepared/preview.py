"""The contact sheet: all slices with their masks on one page, for inspection before training."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from fgf_keras.data.canvas import bounds, windowed
from fgf_keras.errors import DataError

SHEET_WIDTH = 2400
# Side of the region shown: a multiple of the longer side of the tumour, but at least this many pixels.
AROUND, LEAST_PIXELS = 2.5, 64
BAR_MM = (1, 2, 5, 10, 20, 50, 100, 200)
# The scale bar is the longest one that takes at most this fraction of the picture.
BAR_PART = 0.35
GREY_LEVELS = 255
# Position of the baseline in a row of the caption.
BASELINE = 0.78

BACKGROUND, BESIDE = (22, 22, 24), (0, 0, 0)
TEXT, QUIET = (240, 240, 240), (158, 158, 164)
# Contrast well with both black and white.
OUTLINE, WARNING = (255, 128, 0), (255, 205, 60)
NEGATIVE_FRAME = (64, 64, 70)


@dataclass(frozen=True, eq=False)
class SheetEntry:
    """The content of a tile, one patient.

    Attributes:
        patient_id: the first line of the caption.
        label: 0 is negative, larger values are positive.
        hu: (rows, columns) Hounsfield units.
        mask: (rows, columns), above 0 inside the tumour; at least one pixel.
        spacing: (y, x) mm.
        area_mm2: area of the tumour.
        slice_index: of the slice in its volume; None if there is no volume.
        warnings: warnings from the preparation; "" if there are none.
    """

    patient_id: str
    label: int
    hu: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float]
    area_mm2: float
    slice_index: int | None = None
    warnings: str = ""


def contact_sheet(
    entries: Iterable[SheetEntry], *, window: tuple[float, float], columns: int | None = None, tile: int = 200
) -> Image.Image:
    """Draw one tile per patient, in the given order: the tumour with its surroundings, outline and caption.

    A picture shows a square in mm around the tumour, shifted if it would leave the slice, and smaller if the
    slice is smaller. The outline is drawn on the pixels of the sheet just outside the mask, so that it hides
    nothing of the tumour. Positive patients have a white frame and a badge. Slices are read one at a time;
    only their tiles are kept in memory.

    Args:
        entries: the patients, possibly a generator.
        window: HU that are drawn black and white.
        columns: tiles per row; by default as many as fit in 2400 pixels.
        tile: side of a picture in pixels.

    Raises:
        DataError: there is no entry, an empty mask, or a mask of another shape than its slice.
    """
    style = _Style(tile)
    tiles, positive, warned = [], 0, 0
    for entry in entries:
        tiles.append(_tile(entry, window, style))
        positive += entry.label > 0
        warned += bool(entry.warnings)
    if not tiles:
        raise DataError("A contact sheet needs at least one patient. Received: none.")
    low, high = window
    title = f"{len(tiles)} patient{'s' if len(tiles) > 1 else ''}  ·  {positive} positive"
    title += f"  ·  {warned} with warnings" if warned else ""
    title += f"  ·  window {low:g} to {high:g} HU"
    legend = "Orange: the edge of the mask, drawn just outside of it.  White frame: positive."

    gap, width = style.gap, style.width
    columns = columns or max(1, (SHEET_WIDTH - gap) // (width + gap))
    columns = min(columns, len(tiles))
    # A row is as high as its longest caption.
    heights = [max(t.height for t in tiles[k : k + columns]) for k in range(0, len(tiles), columns)]
    top = gap + style.title_size + style.text_size + 2 * gap
    wide = max(columns * (width + gap), int(style.title.getlength(title)) + gap, _length(style, legend) + gap)
    sheet = Image.new("RGB", (wide + gap, top + sum(heights) + gap * len(heights)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((gap, gap), title, TEXT, style.title, anchor="lt")
    draw.text((gap, top - gap), legend, QUIET, style.text, anchor="ls")
    for k, picture in enumerate(tiles):
        row, column = divmod(k, columns)
        sheet.paste(picture, (gap + column * (width + gap), top + sum(heights[:row]) + gap * row))
    return sheet


class _Style:
    """Sizes in pixels that follow from the side of a picture."""

    def __init__(self, tile: int) -> None:
        self.tile = tile
        self.line = max(1, round(tile / 130))
        # Room for an outline at the border of the slice, inside the frame.
        self.frame = 2 * self.line + 1
        self.gap = max(6, round(0.07 * tile))
        self.pad = max(2, round(0.02 * tile))
        size = max(10, round(0.07 * tile))
        self.text_size, self.title_size = size, round(1.6 * size)
        self.text, self.title = (ImageFont.load_default(s) for s in (self.text_size, self.title_size))
        self.small = ImageFont.load_default(max(8, round(0.8 * size)))
        self.row = round(1.35 * size)
        self.width = tile + 2 * self.frame
        # Indentation of warnings, next to their symbol.
        self.indent = size + self.pad


def _length(style: _Style, text: str) -> int:
    return int(style.text.getlength(text))


def _tile(entry: SheetEntry, window: tuple[float, float], style: _Style) -> Image.Image:
    if entry.hu.shape != entry.mask.shape or not np.any(entry.mask):
        raise DataError(
            f"{entry.patient_id}: the mask must have the shape of the slice, {entry.hu.shape}, and at least "
            f"one pixel. Received: shape {entry.mask.shape}, {np.count_nonzero(entry.mask)} pixels."
        )
    warning = _wrapped(entry.warnings.replace("_", " "), style.width - style.indent, style)
    height = style.width + style.pad + (3 + len(warning)) * style.row
    tile = Image.new("RGB", (style.width, height), BACKGROUND)
    draw = ImageDraw.Draw(tile)
    box = (0, 0, style.width - 1, style.width - 1)
    draw.rectangle(box, BESIDE, NEGATIVE_FRAME)
    picture, px_per_mm = _picture(entry, window, style)
    tile.paste(picture, ((style.width - picture.width) // 2, (style.width - picture.height) // 2))
    _scale_bar(draw, px_per_mm, style)
    if entry.label > 0:
        draw.rectangle(box, None, TEXT, style.frame - style.line)
    _caption(draw, entry, style)
    if warning:
        _warning(draw, warning, style)
    return tile


def _crop(mask: np.ndarray, spacing: tuple[float, float]) -> tuple[slice, ...]:
    """The slices of rows and columns that are shown."""
    firsts, extents = bounds(mask)
    longer = max(extent * mm for extent, mm in zip(extents, spacing))
    side = max(AROUND * longer, LEAST_PIXELS * min(spacing))
    crop = []
    for first, extent, mm, size in zip(firsts, extents, spacing, mask.shape):
        count = min(max(1, round(side / mm)), size)
        start = int(np.clip((2 * first + extent - count) // 2, 0, size - count))
        crop.append(slice(start, start + count))
    return tuple(crop)


def _picture(entry: SheetEntry, window: tuple[float, float], style: _Style) -> tuple[Image.Image, float]:
    """The windowed slice with the outline and a margin of its width, and the scale in pixels per mm."""
    crop = _crop(entry.mask, entry.spacing)
    grey = windowed(entry.hu[crop], window).astype(np.float32)
    sides = np.multiply(grey.shape, entry.spacing)
    px_per_mm = style.tile / sides.max()
    height, width = (max(1, round(side * px_per_mm)) for side in sides)
    smooth = np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC))
    levels = np.rint(np.clip(smooth, 0, 1) * GREY_LEVELS).astype(np.uint8)
    rows, columns = (
        ((np.arange(count) + 0.5) * length / count).astype(int)
        for count, length in zip((height, width), grey.shape)
    )
    inside = np.pad((entry.mask[crop] > 0)[np.ix_(rows, columns)], style.line)
    dilated = Image.fromarray(inside.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * style.line + 1))
    pixels = np.repeat(np.pad(levels, style.line)[..., None], 3, axis=2)
    pixels[(np.asarray(dilated) > 0) & ~inside] = OUTLINE
    return Image.fromarray(pixels), px_per_mm


def _scale_bar(draw: ImageDraw.ImageDraw, px_per_mm: float, style: _Style) -> None:
    """Draw the scale bar below the picture, where it hides nothing and has a uniform background."""
    mm = max((mm for mm in BAR_MM if mm * px_per_mm <= BAR_PART * style.tile), default=BAR_MM[0])
    middle = style.width + style.pad + style.row // 2
    end = round(mm * px_per_mm) - 1
    draw.rectangle((0, middle - style.line // 2, end, middle + (style.line - 1) // 2), QUIET)
    for x in (0, end):
        draw.line((x, middle - 2 * style.line, x, middle + 2 * style.line), QUIET)
    draw.text((end + 2 * style.pad, middle), f"{mm} mm", QUIET, style.small, anchor="lm")


def _caption(draw: ImageDraw.ImageDraw, entry: SheetEntry, style: _Style) -> None:
    top = style.width + style.pad + style.row
    base = top + round(BASELINE * style.row)
    right = style.width - 1
    if entry.label > 0:
        badge = "POSITIVE" if entry.label == 1 else f"CLASS {entry.label}"
        left = right - int(style.small.getlength(badge)) - 2 * style.pad
        draw.rounded_rectangle((left, top + 1, right, top + style.row - 2), style.pad, TEXT)
        middle = ((left + right + 1) / 2, top + style.row / 2)
        draw.text(middle, badge, (0, 0, 0), style.small, anchor="mm")
    else:
        draw.text((right, base), "negative", QUIET, style.small, anchor="rs")
        left = right - int(style.small.getlength("negative"))
    draw.text(
        (0, base),
        _shortened(_drawable(entry.patient_id), left - style.pad, style),
        TEXT,
        style.text,
        anchor="ls",
    )

    base += style.row
    area = f"{entry.area_mm2:.0f} mm"
    draw.text((0, base), area, QUIET, style.text, anchor="ls")
    # The font has no ².
    x = _length(style, area)
    draw.text((x, base - style.text_size // 3), "2", QUIET, style.small, anchor="ls")
    if entry.slice_index is not None:
        draw.text((right, base), f"slice {entry.slice_index}", QUIET, style.text, anchor="rs")


def _warning(draw: ImageDraw.ImageDraw, lines: list[str], style: _Style) -> None:
    """Draw the warnings with a triangle next to the text."""
    size = style.text_size
    base = style.width + style.pad + 3 * style.row + round(BASELINE * style.row)
    draw.polygon([(0, base), (size, base), (size / 2, base - round(0.8 * size))], WARNING)
    draw.text((size / 2, base), "!", (0, 0, 0), style.small, anchor="ms")
    for k, line in enumerate(lines):
        draw.text((style.indent, base + k * style.row), line, WARNING, style.text, anchor="ls")


def _wrapped(text: str, room: int, style: _Style) -> list[str]:
    """Lines no longer than `room`, broken between words."""
    lines: list[str] = []
    for word in text.split():
        if lines and _length(style, f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(_shortened(word, room, style))
    return lines


def _drawable(text: str) -> str:
    """The text in ASCII, which is all that the font has: without accents, other letters as question marks."""
    letters = (unicodedata.normalize("NFKD", letter) for letter in text)
    return "".join(letter.encode("ascii", "ignore").decode() or "?" for letter in letters)


def _shortened(text: str, room: int, style: _Style) -> str:
    """The text without its middle if it is too long, because ids differ at their ends."""
    if _length(style, text) <= room:
        return text
    for length in range(len(text) - 1, 0, -1):
        shorter = text[: (length + 1) // 2] + "…" + text[len(text) - length // 2 :]
        if _length(style, shorter) <= room:
            return shorter
    return "…"
