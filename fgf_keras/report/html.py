"""A document as one self-contained HTML page."""

import base64
import re

import jinja2
from markupsafe import Markup

from fgf_keras.report.document import Document
from fgf_keras.report.style import inline_svg
from fgf_keras.report.words import NOT_CLINICAL


def as_html(document: Document) -> str:
    """Render one self-contained page; all text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fgf_keras.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = lambda svg: Markup(inline_svg(svg))
    environment.filters["unbroken"] = _unbroken
    environment.filters["data_uri"] = lambda png: "data:image/png;base64," + base64.b64encode(png).decode()
    template = environment.get_template("report.html.j2")
    return template.render(document=document, not_clinical=NOT_CLINICAL)


def _unbroken(text: str) -> str:
    """The text with non-breaking spaces in intervals and p-values."""
    return re.sub(r"\[[^\]]*\]|\([^)]*\)|\bp [0-9]", lambda match: match[0].replace(" ", "\u00a0"), text)
