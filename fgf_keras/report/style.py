"""The style of plots in a report: text stays text, colours follow the page, and output is reproducible."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from fgf_keras.pictures.colours import FAINT, INK, PAPER

_PAGE_COLOURS = {INK: "var(--ink)", FAINT: "var(--line)", PAPER: "none"}

# Largest scale at which a plot is drawn: text of 9 points then has the size of captions.
PIXELS_PER_POINT = 1.5
# Smallest part of that scale; wider plots than this many pixels scroll anyway.
LEGIBLE, WIDEST_IN_VIEW = 0.66, 640

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "figure.facecolor": PAPER,
    "figure.constrained_layout.use": True,
}


@contextmanager
def report_style() -> Iterator[None]:
    """Figures created inside the block have the style of a report."""
    with mpl.rc_context(_STYLE):
        yield


def svg_of(figure: Figure, name: str) -> bytes:
    """A figure as SVG; `name` keeps the ids of several plots on one page distinct."""
    stream = io.BytesIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def inline_svg(svg: bytes) -> str:
    """An SVG to embed in a page: without prologue, with the colours of the page, and of flexible width."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, page_colour in _PAGE_COLOURS.items():
        text = text.replace(colour, page_colour)
    # Ids that nothing refers to would be repeated by every plot.
    used = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda m: m.group(0) if m.group(1) in used else "", text)
    opening = text[: text.index(">") + 1]
    (view, width), *_ = re.findall(r'(viewBox="0 0 ([0-9.]+) [^"]*")', opening)
    pixels = float(width) * PIXELS_PER_POINT
    # On narrower pages a plot shrinks while its text stays legible, and scrolls below that.
    size = f"width:{pixels:.0f}px;min-width:min({LEGIBLE * pixels:.0f}px, {WIDEST_IN_VIEW}px)"
    return f'<svg {view} style="{size}" aria-hidden="true">' + text[len(opening) :].replace(
        "xlink:href", "href"
    )
