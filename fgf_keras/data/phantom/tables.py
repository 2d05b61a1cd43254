"""The tables of the phantom, as untidy as tables from hospitals."""

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.writer.excel import ExcelWriter

CLINICAL, REGIONS = "clinical.xlsx", "regions.xlsx"
SHEETS = ("A", "B")
CLINICAL_COLUMNS = ("Patient #", "Primary Site", "Distant ")
REGION_COLUMNS = ("Patient", "Name GTV Primary", "Name GTV Lymph Nodes")
FOOTER = (
    "Distant: 1 if a distant metastasis appeared, 0 if not",
    "Synthetic patients; no person is described",
)
# An id, or a label, has a trailing blank every so many rows.
STRAY_ID, STRAY_LABEL = 7, 11
# Fixed date of the workbook, so that the same rows give the same bytes.
DATE = datetime(2000, 1, 1, 12)


def write_clinical_table(path: Path, patients: Sequence[str], labels: Sequence[int]) -> None:
    """Write the labels: two sheets, stray blanks, and notes below the rows."""
    rows = [
        (
            name + " " * (number % STRAY_ID == 0),
            "phantom",
            f"{label} " if number % STRAY_LABEL == 0 else int(label),
        )
        for number, (name, label) in enumerate(zip(patients, labels), start=1)
    ]
    _write(path, CLINICAL_COLUMNS, rows, footer=[(), *((note,) for note in FOOTER)])


def write_region_table(path: Path, patients: Sequence[str], names: Sequence[tuple[str, str | None]]) -> None:
    """Write the names of each patient's tumour and nodes; None is a blank cell."""
    rows = [(patient, *regions) for patient, regions in zip(patients, names)]
    _write(path, REGION_COLUMNS, rows)


def _write(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]], footer: Iterable[Sequence[Any]] = ()
) -> None:
    book = Workbook()
    book.remove(book.active)
    half = (len(rows) + 1) // 2
    for title, part in zip(SHEETS, (rows[:half], rows[half:])):
        sheet = book.create_sheet(title)
        for row in (columns, *part, *footer):
            sheet.append(row)
    book.properties.created = book.properties.modified = DATE
    stamped, plain = io.BytesIO(), io.BytesIO()
    ExcelWriter(book, ZipFile(stamped, "w")).save()
    # The archive also contains the time of writing of each entry.
    with ZipFile(stamped) as source, ZipFile(plain, "w") as target:
        for name in source.namelist():
            target.writestr(ZipInfo(name), source.read(name), ZIP_DEFLATED)
    path.write_bytes(plain.getvalue())
