"""Writing the files of a report: report.html, report.md and the plots of the latter."""

import shutil
from pathlib import Path

from fgf_keras.files import whole_file
from fgf_keras.report.document import Document
from fgf_keras.report.html import as_html
from fgf_keras.report.markdown import PLOTS, as_markdown


def write_report(document: Document, directory: Path) -> None:
    """Write report.html, report.md and report_figures/ to a folder, replacing earlier ones."""
    shutil.rmtree(directory / PLOTS, ignore_errors=True)
    (directory / PLOTS).mkdir(parents=True)
    for plot in document.plots():
        (directory / PLOTS / f"{plot.name}.svg").write_bytes(plot.svg)
    for name, text in (("report.md", as_markdown(document)), ("report.html", as_html(document))):
        with whole_file(directory / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
