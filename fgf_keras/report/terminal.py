"""A document on a terminal, readable at 80 columns."""

import rich.box
import rich.console
import rich.measure
import rich.padding
import rich.table
import rich.text
from rich.cells import cell_len

from fgf_keras.report.document import Table

# Wider than any table: what it would take is asked for.
_NO_LIMIT = 100_000


def as_terminal(blocks) -> rich.console.Group:
    """Blocks as rich draws them; what only a page can show (plots, pictures) is left out.

    Args:
        blocks: of `document`.
    """
    drawn = [_DRAWN[block.kind](block) for block in blocks if block.kind in _DRAWN]
    return rich.console.Group(*(rich.padding.Padding(each, (0, 0, 1, 0)) for each in drawn))


class _FittingTable:
    """A table where it fits; otherwise each row under its name, one line per cell."""

    def __init__(self, block: Table):
        self._block = block

    def __rich_console__(self, console, options):
        header, rows = self._block.header, self._block.rows
        if self._block.caption:
            yield rich.text.Text(self._block.caption, style="italic")
        table = _side_by_side(header, rows)
        unlimited = options.update(max_width=_NO_LIMIT)
        fits = rich.measure.Measurement.get(console, unlimited, table).maximum <= options.max_width
        yield table if fits else _one_below_another(header, rows)


def _side_by_side(header, rows):
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(rich.text.Text, row), style="bold" if Table.is_heading(row) else None)
    return table


def _one_below_another(header, rows):
    label_width = max(map(cell_len, header))
    lines = []
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


def _listed(items):
    table = rich.table.Table.grid(padding=(0, 1))
    for item in items:
        table.add_row("•", item)
    return table


def _fold(block):
    # Of what a page hides, only what is short: no tables, no pictures.
    inner = [_DRAWN[each.kind](each) for each in block.blocks if each.kind in ("text", "bullets", "terms")]
    return rich.console.Group(rich.text.Text(block.summary, style="bold"), *inner)


_DRAWN = {
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
