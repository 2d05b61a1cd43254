"""Blocks of a document on a terminal, readable at 80 columns."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import rich.box
import rich.console
import rich.measure
import rich.padding
import rich.table
import rich.text
from rich.cells import cell_len

from fgf_keras.report.document import Block, Fold, Table

# Wider than any table, to measure how wide a table would be.
_NO_LIMIT = 100_000


def as_terminal(blocks: Iterable[Block]) -> rich.console.Group:
    """Blocks as rich renderables; plots and pictures are left out.

    Args:
        blocks: of a document.
    """
    renderables = [_DRAWN[block.kind](block) for block in blocks if block.kind in _DRAWN]
    return rich.console.Group(*(rich.padding.Padding(each, (0, 0, 1, 0)) for each in renderables))


class _FittingTable:
    """A table if it fits the width; otherwise the cells of each row below its name, one line per cell."""

    def __init__(self, block: Table) -> None:
        self._block = block

    def __rich_console__(
        self, console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> rich.console.RenderResult:
        header, rows = self._block.header, self._block.rows
        if self._block.caption:
            yield rich.text.Text(self._block.caption, style="italic")
        table = _side_by_side(header, rows)
        unlimited = options.update(max_width=_NO_LIMIT)
        fits = rich.measure.Measurement.get(console, unlimited, table).maximum <= options.max_width
        yield table if fits else _one_below_another(header, rows)


def _side_by_side(header: Sequence[str], rows: Iterable[Sequence[str]]) -> rich.table.Table:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(rich.text.Text, row), style="bold" if Table.is_heading(row) else None)
    return table


def _one_below_another(header: Sequence[str], rows: Iterable[Sequence[str]]) -> rich.console.Group:
    label_width = max(map(cell_len, header))
    lines: list[rich.console.RenderableType] = []
    for name, *cells in rows:
        lines.append(rich.text.Text(name, style="bold"))
        table = rich.table.Table.grid(padding=(0, 2))
        table.add_column(width=label_width + 2)
        table.add_column(overflow="fold")
        for label, cell in zip(header[1:], cells):
            if cell:
                table.add_row(rich.text.Text(f"  {label}"), rich.text.Text(cell))
        if table.row_count:
            lines.append(table)
    return rich.console.Group(*lines)


def _listed(items: Iterable[rich.text.Text]) -> rich.table.Table:
    table = rich.table.Table.grid(padding=(0, 1))
    for item in items:
        table.add_row("•", item)
    return table


def _fold(block: Fold) -> rich.console.Group:
    # Of a fold, only short blocks are shown: no tables, no pictures.
    inner = [_DRAWN[each.kind](each) for each in block.blocks if each.kind in ("text", "bullets", "terms")]
    return rich.console.Group(rich.text.Text(block.summary, style="bold"), *inner)


_DRAWN: dict[str, Callable[[Any], rich.console.RenderableType]] = {
    "text": lambda block: rich.text.Text(block.text),
    "bullets": lambda block: _listed(map(rich.text.Text, block.items)),
    "terms": lambda block: _listed(rich.text.Text(f"{term}: {meaning}") for term, meaning in block.items),
    "tiles": lambda block: _listed(rich.text.Text(" ".join(item)) for item in block.items),
    "callout": lambda block: rich.console.Group(
        rich.text.Text(block.title, style="bold"), *map(rich.text.Text, block.items)
    ),
    "table": _FittingTable,
    "fold": _fold,
}
