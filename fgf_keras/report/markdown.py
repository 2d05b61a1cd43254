"""A document as Markdown, with its plots in separate files."""

import html
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fgf_keras.report.document import Block, Callout, Document, Fold, Page, Table
from fgf_keras.report.words import NOT_CLINICAL

# Folder of the plots, next to the Markdown file.
PLOTS = "report_figures"


def as_markdown(document: Document) -> str:
    """Render a document; its plots are expected as `report_figures/<name>.svg`."""
    parts = [f"# {_text(document.title)}", f"**{NOT_CLINICAL}** {_text(document.subtitle)}"]
    for section in document.sections:
        parts.append(f"## {_text(section.title)}")
        parts += [_DRAWN[block.kind](block) for block in section.blocks]
    parts.append(f"**{NOT_CLINICAL}** A measurement of a research model.")
    return "\n\n".join(parts) + "\n"


def blocks_as_markdown(blocks: Iterable[Block]) -> str:
    """Render some blocks as a file of their own."""
    return "\n\n".join(_DRAWN[block.kind](block) for block in blocks) + "\n"


def _text(value: str) -> str:
    """Text escaped for Markdown: it contains no tag, no link and no end of a table cell."""
    escaped = html.escape(value, quote=False).replace("\n", " ")
    return re.sub(r"([|`*$\\]|\](?=\())", r"\\\1", escaped)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(header), "|---" * len(header) + "|"]
    for row in rows:
        name = f"**{_text(row[0])}**" if Table.is_heading(row) else _text(row[0])
        lines.append(_row([name, *map(_text, row[1:])]))
    return "\n".join(lines)


def _table(block: Table) -> str:
    return f"*{_text(block.caption)}*\n\n" + _rows([_text(cell) for cell in block.header], block.rows)


def _callout(block: Callout) -> str:
    lines = [f"**{_text(block.title)}**", *(_text(item) for item in block.items)]
    return "\n>\n".join(f"> {line}" for line in lines)


def _page(block: Page) -> str:
    return f"![{_text(block.alt)}](<{block.file}>)\n\n{_text(block.caption)}"


def _fold(block: Fold) -> str:
    return "\n\n".join([f"**{_text(block.summary)}**", *(_DRAWN[b.kind](b) for b in block.blocks)])


_DRAWN: dict[str, Callable[[Any], str]] = {
    "text": lambda block: _text(block.text),
    "bullets": lambda block: "\n".join(f"- {_text(item)}" for item in block.items),
    "terms": lambda block: "\n".join(f"- **{_text(a)}**: {_text(b)}" for a, b in block.items),
    "tiles": lambda block: _rows(["", "", ""], block.items),
    "callout": _callout,
    "table": _table,
    "plot": lambda block: f"![{_text(block.alt)}]({PLOTS}/{block.name}.svg)\n\n{_text(block.caption)}",
    "gallery": lambda block: f"![{_text(block.alt)}](<{block.file}>)",
    "page": _page,
    # Indented rather than fenced, so that no line of the text can end the block.
    "code": lambda block: "\n".join(f"    {line}" for line in block.text.splitlines()),
    "fold": _fold,
}
