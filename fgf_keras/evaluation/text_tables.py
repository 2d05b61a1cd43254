"""A header and rows of text as a table, in Markdown and for a terminal."""

import rich.box
import rich.table


def markdown_lines(header: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def terminal_table(title: str, header: list[str], rows: list[list[str]]) -> rich.table.Table:
    """The table for a terminal; all columns but the first are aligned to the right."""
    shown = rich.table.Table(box=rich.box.SIMPLE_HEAD, title=title, title_justify="left")
    for i, name in enumerate(header):
        shown.add_column(name, justify="right" if i else "left", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    return shown
