"""A patient while a classifier learns: one picture, on scales that stay the same from epoch to epoch."""

import functools
import io
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fgf_keras.pictures.panels import (
    Panel,
    panel_pixels,
    share_text,
    shares_caption,
    tumour_box,
    tumour_range,
)

COLUMNS = 3
# Of a panel, of the space around it, and of lines of text, px.
EDGE, GAP, LINE = 152, 12, 19
TEXT, HEADING = 14, 16
# Gradients are drawn in units of their root mean square in the tumour, up to so many of them.
LIMIT = 3.0
SCALES = (
    "Gradients in units of their root mean square in the tumour, from -3 (blue, lowers) to 3 (red, raises); "
    "∇z, its explained part and the rest in those of ∇z. Images and their difference: the range of the slice "
    "in the tumour. All scales are the same in every epoch."
)


def patient_png(heading: list[str], panels: list[Panel], mask) -> tuple[int, int, bytes]:
    """Panels below a heading, three in a row, as (width, height, PNG).

    Args:
        heading: lines of text.
        panels: by `training_panels`.
        mask: (h, w), the tumour in the same box as the fields.
    """
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
        # Boxes: pixels stay squares where they are enlarged.
        page.paste(picture.resize((EDGE, EDGE), Image.Resampling.BOX), (x, y + LINE))
        draw.text((x, y + LINE + EDGE), panel.caption, "black", _font(TEXT))
    stream = io.BytesIO()
    # All colours: a choice of them would differ from epoch to epoch.
    page.save(stream, "PNG", optimize=True)
    return *size, stream.getvalue()


def training_panels(fields: dict, names: list[str], S, F) -> tuple[list[Panel], np.ndarray]:
    """Slice, ∇z, its parts along the features and not, ∇ of each feature, boundary and difference.

    Args:
        fields: of a patient: image, mask, seen (what the classifier was given), and those of
            `AlignmentMeasure.fields`; (H, W, C), of which the first channel is drawn.
        names: of the features.
        S, F: (m + 1,) of this patient; NaN where undefined.

    Returns:
        The panels, and the mask (h, w) in the same box.
    """
    box = tumour_box(fields["mask"][..., 0])
    mask, image, seen, boundary = (fields[n][..., 0][box] for n in ("mask", "image", "seen", "boundary"))
    gradient, explained = (fields[n][..., 0][box] for n in ("gradient", "explained"))
    unit = _root_mean_square(gradient, mask)
    of_slice = tumour_range(image, mask)
    contrast = of_slice[1] - of_slice[0]
    change = boundary - seen
    panels = [
        Panel("slice", "", image, of_slice, False),
        _signed("∇z of the score", "", gradient, unit),
        _signed("explained", shares_caption(S[-1], F[-1]), explained, unit),
        _signed("not explained", f"1 − S {share_text(1 - S[-1])}", gradient - explained, unit),
    ]
    for i, name in enumerate(names):
        field = fields["features"][i][..., 0][box]
        title = f"∇ {name.replace('_', ' ')}"
        panels.append(_signed(title, shares_caption(S[i], F[i]), field, _root_mean_square(field, mask)))
    ending = "" if np.isfinite(F[-1]) else "not reached"
    largest = f"at most {share_text(float(np.abs(change).max()))}"
    panels += [
        Panel("at the boundary", ending, boundary, of_slice, False),
        Panel("change to there", largest, change, (-contrast, contrast), True),
    ]
    return panels, mask


def _signed(title, caption, field, unit):
    return Panel(title, caption, field / unit, (-LIMIT, LIMIT), True)


def _root_mean_square(field, mask):
    unit = float(np.sqrt(np.mean(field[mask > 0] ** 2)))
    # A field of zeros, and one that is not finite, is drawn all the same.
    return unit if 0 < unit < np.inf else 1.0


@functools.cache
def _font(size):
    # The font that matplotlib brings along: it has the signs of vector analysis.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
