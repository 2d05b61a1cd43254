"""What a report is made of: headings, texts, tables and plots, for the renderers html, markdown and terminal.

Texts are plain, never markup.
"""

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Text:
    """A paragraph; a lead stands out."""

    kind: ClassVar = "text"
    text: str
    lead: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list."""

    kind: ClassVar = "bullets"
    items: list[str]


@dataclass(frozen=True)
class Terms:
    """Words, each with what it means."""

    kind: ClassVar = "terms"
    items: list[tuple[str, str]]


@dataclass(frozen=True)
class Tiles:
    """Headline metrics: what it is, its value, its interval."""

    kind: ClassVar = "tiles"
    items: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Callout:
    """What must not be overlooked; `tone` is "warning" or "note"."""

    kind: ClassVar = "callout"
    title: str
    items: list[str]
    tone: str = "note"


@dataclass(frozen=True)
class Table:
    """A caption, a header and rows of text; the first column names the row, others hold numbers or words.

    A row that is empty but for its first cell is a heading.
    """

    kind: ClassVar = "table"
    caption: str
    header: list[str]
    rows: list[list[str]]
    words: bool = False

    @staticmethod
    def is_heading(row) -> bool:
        """Whether a row is a heading."""
        return len(row) > 1 and not any(row[1:])


@dataclass(frozen=True)
class Plot:
    """A plot as SVG, in a file of this name for Markdown.

    Attributes:
        name: of the file, without ending.
        alt: what it shows, for those who do not see it.
        caption: what to look at.
        svg: bytes, see `report_style.svg_of`.
    """

    kind: ClassVar = "plot"
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
    """Patients one below the other: (heading, pictures). Markdown has the page `file` instead."""

    kind: ClassVar = "gallery"
    patients: list[tuple[str, list[Picture]]]
    file: str
    alt: str


@dataclass(frozen=True)
class Page:
    """A large picture: its bytes for HTML, the file that Markdown links to, relative to the report."""

    kind: ClassVar = "page"
    file: str
    alt: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Code:
    """Text to be copied."""

    kind: ClassVar = "code"
    text: str


@dataclass(frozen=True)
class Fold:
    """Details that a reader opens."""

    kind: ClassVar = "fold"
    summary: str
    blocks: list


Block = Text | Bullets | Terms | Tiles | Callout | Table | Plot | Picture | Gallery | Page | Code | Fold


@dataclass(frozen=True)
class Section:
    """A heading with blocks; `name` is its anchor."""

    name: str
    title: str
    blocks: list


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: its heading.
        subtitle: a sentence below.
        sections: in order.
    """

    title: str
    subtitle: str
    sections: list[Section] = field(default_factory=list)

    def plots(self) -> list[Plot]:
        """Every plot, also those that are folded away."""
        return [
            block for section in self.sections for block in _within(section.blocks) if block.kind == "plot"
        ]


def _within(blocks):
    for block in blocks:
        yield block
        if block.kind == "fold":
            yield from _within(block.blocks)
