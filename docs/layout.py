"""Draws docs/images/layout.svg: the subpackages of the package, who imports whom, and how long each is.

Layers are those that `make lint` holds (pyproject.toml, tool.importlinter); arrows and lines are counted in
the code. `python docs/layout.py`
"""

import ast
import tomllib
from collections import Counter
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fgf_keras"
INK, FAINT, BLUE, PAPER = "#24292f", "#8b949e", "#3b82c4", "#fdfdfc"
WIDTH, HEIGHT = 1.9, 0.62
# Used from everywhere above: arrows to these would hide all others.
GROUND = ("data", "run", "pictures", "config")
# What each subpackage is for, in the fewest words.
WORDS = {
    "cli": "typer only",
    "commands": "config → finished folder",
    "training": "fit, callbacks, TensorBoard",
    "serving": "SavedModel, signatures",
    "report": "one document, three renderers",
    "measure": "model and images → numbers",
    "models": "AlignmentModel, gradients",
    "results": "tables and statistics",
    "nulls": "what chance is",
    "features": "values and gradients",
    "flow": "the path to the boundary",
    "geometry": "inner products, shares",
    "data": "cohorts, every source",
    "run": "the folder of a run",
    "pictures": "arrays to images",
    "config": "every key, checked",
}


def layers() -> list[list[str]]:
    """The subpackages of each layer, from the top."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    rows = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    return [row for row in rows if all((PACKAGE / name).is_dir() for name in row)]


def imports() -> Counter:
    """How many import statements lead from one subpackage to another, by (subpackage, subpackage)."""
    subpackages = {name for row in layers() for name in row}
    arrows = Counter()
    for path in PACKAGE.rglob("*.py"):
        subpackage = path.relative_to(PACKAGE).parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fgf_keras."):
                target = node.module.split(".")[1]
                if subpackage in subpackages and target in subpackages and target != subpackage:
                    arrows[subpackage, target] += 1
    return arrows


def lines(subpackage: str) -> int:
    """Lines of code of a subpackage."""
    return sum(
        len(path.read_text(encoding="utf-8").splitlines()) for path in (PACKAGE / subpackage).rglob("*.py")
    )


def draw() -> Figure:
    """The picture."""
    rows, arrows = layers(), imports()
    place = {}
    for depth, row in enumerate(rows):
        for i, subpackage in enumerate(row):
            # Layers of one subpackage step to the side, so that arrows pass beside them.
            aside = 0.9 * (-1) ** depth if len(row) == 1 and subpackage not in GROUND else 0
            x = 2.6 * (i - (len(row) - 1) / 2) + aside
            place[subpackage] = x, -1.25 * depth
    figure = Figure(figsize=(9.5, 1.1 * len(rows)), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    most = max(arrows.values())
    for (subpackage, target), count in arrows.items():
        if target in GROUND:
            continue
        (x0, y0), (x1, y1) = place[subpackage], place[target]
        bend = 0.0 if abs(y0 - y1) < 1.5 else 0.12 * (1 if x1 >= x0 else -1)
        axes.annotate(
            "",
            (x1, y1 + HEIGHT / 2),
            (x0, y0 - HEIGHT / 2),
            arrowprops={
                "arrowstyle": "-|>",
                "color": FAINT,
                "linewidth": 0.6 + 3 * count / most,
                "alpha": 0.8,
                "connectionstyle": f"arc3,rad={bend}",
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )
    grounded = [place[subpackage][1] for subpackage in GROUND]
    bottom, top = min(grounded) - 0.55, max(grounded) + 0.75
    axes.axhspan(bottom, top, xmin=0.03, xmax=0.97, color=FAINT, alpha=0.15, linewidth=0)
    axes.text(0, top - 0.2, "the ground, used from every layer above", fontsize=8, ha="center", color=INK)
    for subpackage, (x, y) in place.items():
        axes.add_patch(
            FancyBboxPatch(
                (x - WIDTH / 2, y - HEIGHT / 2),
                WIDTH,
                HEIGHT,
                boxstyle="round,pad=0.04",
                facecolor=PAPER,
                edgecolor=BLUE,
                linewidth=1.2,
                zorder=3,
            )
        )
        style = {"ha": "center", "va": "center", "color": INK, "zorder": 4}
        axes.text(
            x, y + 0.13, f"{subpackage}/  {lines(subpackage):,} lines", fontsize=9, weight="bold", **style
        )
        axes.text(x, y - 0.16, WORDS[subpackage], fontsize=7.5, **style)
    axes.set(xlim=(-4.6, 4.6), ylim=(-1.25 * len(rows) + 0.6, 0.7))
    axes.axis("off")
    return figure


if __name__ == "__main__":
    # The same code is drawn as the same bytes, with letters as outlines.
    with mpl.rc_context({"svg.hashsalt": "layout"}):
        draw().savefig(ROOT / "docs" / "images" / "layout.svg", metadata={"Date": None})
