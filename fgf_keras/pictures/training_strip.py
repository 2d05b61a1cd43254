"""A picture of a patient for TensorBoard, with scales that are the same in every epoch of the training."""

import functools
import io
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fgf_keras.pictures.panels import OUTSIDE_NOTE, PatientPanels, Scaled, panel_pixels, tumour_range

COLUMNS = 3
# Sizes in px of a panel, of the space around it, and of a line of text.
EDGE, GAP, LINE = 152, 12, 19
TEXT, HEADING = 14, 16
# Gradients are drawn in units of their root mean square in the tumour, clipped at this many.
LIMIT = 3.0
SCALES = (
    "Gradients in units of their root mean square in the tumour, from -3 (blue, lowers) to 3 (red, raises); "
    "∇z, its explained part and the rest in those of ∇z. Images and their difference: the range of the slice "
    "in the tumour. All scales are the same in every epoch. " + OUTSIDE_NOTE
)


def patient_png(heading: list[str], shown: PatientPanels) -> tuple[int, int, bytes]:
    """Draw panels below a heading, three per row; returns (width, height, PNG).

    Args:
        heading: lines of text.
        shown: panels on `EpochScales`.
    """
    mask, panels = shown.mask, shown.panels
    rows = -(-len(panels) // COLUMNS)
    top = GAP + len(heading) * (HEADING + 6)
    cell = EDGE + 2 * LINE + GAP
    size = (COLUMNS * (EDGE + GAP) + GAP, top + rows * cell)
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for i, line in enumerate(heading):
        draw.text((GAP, GAP + i * (HEADING + 6)), line, "black", _font(HEADING))
    for k, panel in enumerate(panels):
        x = GAP + k % COLUMNS * (EDGE + GAP)
        y = top + k // COLUMNS * cell
        draw.text((x, y), panel.title, "black", _font(TEXT))
        picture = Image.fromarray(panel_pixels(panel, mask, EDGE))
        # Box resampling keeps enlarged pixels square.
        page.paste(picture.resize((EDGE, EDGE), Image.Resampling.BOX), (x, y + LINE))
        draw.text((x, y + LINE + EDGE), panel.caption, "black", _font(TEXT))
    stream = io.BytesIO()
    # Not quantised: the palette would differ from epoch to epoch.
    page.save(stream, "PNG", optimize=True)
    return *size, stream.getvalue()


class EpochScales:
    """Scales that are the same in every epoch, see `panels.Scales`."""

    def __init__(self, image: np.ndarray, mask: np.ndarray, gradient: np.ndarray) -> None:
        self._mask = mask
        self._slice = tumour_range(image, mask)
        self._unit = _root_mean_square(gradient, mask)

    def image(self, field: np.ndarray) -> Scaled:
        """The range of the slice in the tumour."""
        return field, self._slice

    def change(self, field: np.ndarray) -> Scaled:
        """As wide as the range of the slice, symmetric about zero."""
        low, high = self._slice
        return field, (low - high, high - low)

    def gradient(self, field: np.ndarray) -> Scaled:
        """In units of the root mean square of ∇z in the tumour."""
        return field / self._unit, (-LIMIT, LIMIT)

    def feature(self, field: np.ndarray) -> Scaled:
        """In units of the root mean square of the field in the tumour."""
        return field / _root_mean_square(field, self._mask), (-LIMIT, LIMIT)


def _root_mean_square(field: np.ndarray, mask: np.ndarray) -> float:
    unit = float(np.sqrt(np.mean(field[mask > 0] ** 2)))
    # Also draws a field of zeros, or one that is not finite.
    return unit if 0 < unit < np.inf else 1.0


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # The font that comes with matplotlib, because it has the symbols of vector analysis.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
