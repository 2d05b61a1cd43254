"""The plots of scaling.py: small multiples on logarithmic axes, a panel for each quantity that is varied."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

COLUMNS = 3
INK, GRID = "#333333", "#e4e4e4"
# Told apart by those who do not see red and green, too.
STYLES = {
    "canvas": ("whole canvas", "#d55e00", "o"),
    "window": ("window", "#0072b2", "s"),
    "explain": ("explain", "#009e73", "^"),
    "epoch": ("an epoch of training", "#a0508c", "D"),
}
FIGURES = {"time": ("median_s", "seconds"), "memory": ("added_mb", "MB added")}


def save_plots(folder, titles, curves):
    """Write scaling_time.png and scaling_memory.png.

    Args:
        folder: is made where it is missing.
        titles: of the panels by axis.
        curves: by (axis, series), as scaling.py has them.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (key, unit) in FIGURES.items():
        figure = page(titles, curves, key, unit, f"{name}_exponent")
        figure.savefig(folder / f"scaling_{name}.png", dpi=150, facecolor="white")


def page(titles, curves, key, unit, exponent):
    columns = min(COLUMNS, len(titles))
    rows = -(-len(titles) // columns)
    with matplotlib.rc_context({"font.size": 9, "text.color": INK, "axes.labelcolor": INK}):
        figure = Figure(figsize=(3.1 * columns, 2.6 * rows), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
        for place, (axis, title) in enumerate(titles.items(), start=1):
            panel = figure.add_subplot(rows, columns, place)
            for (of, series), found in curves.items():
                if of == axis:
                    draw(panel, series, found, key, exponent)
            finish(panel, title, unit if place % columns == 1 or columns == 1 else None)
        # The same scale everywhere, so that panels can be compared.
        limits = [panel.get_ylim() for panel in figure.axes]
        for panel in figure.axes:
            # Room above for the legends.
            panel.set_ylim(0.7 * min(low for low, _ in limits), 20 * max(high for _, high in limits))
    return figure


def draw(panel, series, found, key, exponent):
    label, colour, marker = STYLES[series]
    values = list(found["points"])
    quantities = [point[key] for point in found["points"].values()]
    panel.loglog(
        values,
        quantities,
        color=colour,
        marker=marker,
        markersize=4,
        linewidth=1.4,
        label=f"{label}, $n^{{{found[exponent]:.1f}}}$".replace("-0.0", "0.0"),
        clip_on=False,
    )


def finish(panel, title, unit):
    panel.set_title(title, loc="left", fontsize=9, fontweight="bold")
    if unit:
        panel.set_ylabel(unit)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(INK)
    panel.grid(color=GRID, linewidth=0.6)
    panel.set_axisbelow(True)
    values = sorted({float(x) for line in panel.get_lines() for x in line.get_xdata()})
    panel.set_xticks(values if len(values) < 7 else values[::2])
    for side in (panel.xaxis, panel.yaxis):
        side.set_major_formatter(FuncFormatter(plain))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_minor_locator(NullLocator())
    panel.tick_params(length=3, color=INK, labelcolor=INK)
    panel.legend(loc="upper left", frameon=False, fontsize=8, handlelength=1.6, borderaxespad=0.2)


def plain(number, _):
    """Without exponents; groups of three digits from five on."""
    return f"{number:g}" if number < 10_000 else f"{number:,.0f}".replace(",", "\u202f")
