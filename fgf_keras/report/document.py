"""The elements of a report: headings, texts, tables and plots, rendered by html, markdown and terminal.

Texts are plain text, never markup.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Text:
    """A paragraph; a lead paragraph is emphasised."""

    kind: ClassVar[Literal["text"]] = "text"
    text: str
    lead: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list."""

    kind: ClassVar[Literal["bullets"]] = "bullets"
    items: list[str]


@dataclass(frozen=True)
class Terms:
    """Terms, each with its meaning."""

    kind: ClassVar[Literal["terms"]] = "terms"
    items: list[tuple[str, str]]


@dataclass(frozen=True)
class Tiles:
    """Main metrics as (name, value, interval)."""

    kind: ClassVar[Literal["tiles"]] = "tiles"
    items: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Callout:
    """An important notice; `tone` is "warning" or "note"."""

    kind: ClassVar[Literal["callout"]] = "callout"
    title: str
    items: list[str]
    tone: str = "note"


@dataclass(frozen=True)
class Table:
    """A table with a caption, a header and rows of text; the first column is the name of the row.

    The other columns contain numbers or, with `words`, text. A row in which only the first cell is filled is
    a heading.
    """

    kind: ClassVar[Literal["table"]] = "table"
    caption: str
    header: list[str]
    rows: list[list[str]]
    words: bool = False

    @staticmethod
    def is_heading(row: Sequence[str]) -> bool:
        """Whether a row is a heading."""
        return len(row) > 1 and not any(row[1:])


@dataclass(frozen=True)
class Plot:
    """A plot as SVG; for Markdown it is written to a file of this name.

    Attributes:
        name: of the file, without suffix.
        alt: description for readers who cannot see the plot.
        caption: of the plot.
        svg: content of the SVG file, see `style.svg_of`.
    """

    kind: ClassVar[Literal["plot"]] = "plot"
    name: str
    alt: str
    caption: str
    svg: bytes


@dataclass(frozen=True)
class Picture:
    """A PNG with a title above and a caption below."""

    title: str
    caption: str
    alt: str
    png: bytes


@dataclass(frozen=True)
class Gallery:
    """Patients one below the other, as (heading, pictures); Markdown shows the page `file` instead."""

    kind: ClassVar[Literal["gallery"]] = "gallery"
    patients: list[tuple[str, list[Picture]]]
    file: str
    alt: str


@dataclass(frozen=True)
class Page:
    """A large picture: its bytes for HTML, and for Markdown its file, relative to the report."""

    kind: ClassVar[Literal["page"]] = "page"
    file: str
    alt: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Code:
    """Text to copy, such as a command."""

    kind: ClassVar[Literal["code"]] = "code"
    text: str


@dataclass(frozen=True)
class Fold:
    """Details that are collapsed until the reader opens them."""

    kind: ClassVar[Literal["fold"]] = "fold"
    summary: str
    blocks: "list[Block]"


Block = Text | Bullets | Terms | Tiles | Callout | Table | Plot | Gallery | Page | Code | Fold


@dataclass(frozen=True)
class Section:
    """A heading with blocks; `name` is its anchor."""

    name: str
    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: heading of the report.
        subtitle: sentence below the title.
        sections: in order.
    """

    title: str
    subtitle: str
    sections: list[Section] = field(default_factory=list)

    def plots(self) -> list[Plot]:
        """All plots, including those inside a `Fold`."""
        return [
            block for section in self.sections for block in _within(section.blocks) if block.kind == "plot"
        ]


def _within(blocks: "Iterable[Block]") -> "Iterator[Block]":
    for block in blocks:
        yield block
        if block.kind == "fold":
            yield from _within(block.blocks)
