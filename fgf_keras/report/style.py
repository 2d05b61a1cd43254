"""How plots of a report look: text stays text, inks follow the page, the same plot is the same bytes."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# These three are exchanged for the page's own colours, which know light and dark.
INK, FAINT, PAPER = "#24292f", "#d0d7de", "#fdfdfc"
_OF_PAGE = {INK: "var(--ink)", FAINT: "var(--line)", PAPER: "none"}
# Middle tones, to be seen on light and on dark paper, and told apart by those who see few colours.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#3b82c4", "#d9731a", "#2f9e6e", "#a070c8", "#8b949e"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY, "#c2557a", "#8a7a2e", "#3fa7b5")

# As large as a plot is drawn at most: text of 9 points then has the size of captions.
PIXELS_A_POINT = 1.5

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
    """Figures made inside look as a report's do."""
    with mpl.rc_context(_STYLE):
        yield


def svg_of(figure: Figure, name: str) -> bytes:
    """A figure as SVG; `name` keeps the ids of several plots on a page apart."""
    stream = io.BytesIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def inline_svg(svg: bytes) -> str:
    """An SVG to stand in a page: without a prologue, with the page's inks and as wide as there is room."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for ink, own in _OF_PAGE.items():
        text = text.replace(ink, own)
    # Ids that nothing refers to would be there once a plot.
    used = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda m: m.group(0) if m.group(1) in used else "", text)
    opening = text[: text.index(">") + 1]
    (view, width), *_ = re.findall(r'(viewBox="0 0 ([0-9.]+) [^"]*")', opening)
    pixels = float(width) * PIXELS_A_POINT
    # Smaller than that, one would rather scroll.
    size = f"width:{pixels:.0f}px;min-width:{0.75 * pixels:.0f}px"
    return f'<svg {view} style="{size}" aria-hidden="true">' + text[len(opening) :].replace(
        "xlink:href", "href"
    )
