"""A report as one HTML page that loads nothing, and as Markdown with plots beside it."""

import base64
import re
import shutil
from pathlib import Path

import jinja2
from markupsafe import Markup

from fgf_keras.evaluation.report_blocks import Report
from fgf_keras.evaluation.report_markdown import FIGURES, NOT_CLINICAL, as_markdown
from fgf_keras.evaluation.report_style import inline_svg
from fgf_keras.whole_file import whole_file


def write_report(report: Report, directory: Path) -> None:
    """Write report.html, report.md and report_figures/ into a folder, in place of earlier ones."""
    shutil.rmtree(directory / FIGURES, ignore_errors=True)
    (directory / FIGURES).mkdir(parents=True)
    for plot in report.plots():
        (directory / FIGURES / f"{plot.name}.svg").write_bytes(plot.svg)
    for name, text in (("report.md", as_markdown(report)), ("report.html", as_html(report))):
        with whole_file(directory / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")


def as_html(report: Report) -> str:
    """One self-contained page; all that comes from data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fgf_keras.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = lambda svg: Markup(inline_svg(svg))
    environment.filters["figures"] = _unbroken
    environment.filters["data_uri"] = lambda png: "data:image/png;base64," + base64.b64encode(png).decode()
    template = environment.get_template("report.html.j2")
    return template.render(report=report, not_clinical=NOT_CLINICAL)


def _unbroken(text):
    """Text whose intervals and p-values are not broken over lines."""
    return re.sub(r"\[[^\]]*\]|\([^)]*\)|\bp [0-9]", lambda found: found[0].replace(" ", "\u00a0"), text)
