"""The phantom's tables, as untidy as those that hospitals send."""

import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
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
# Every so many rows an id, or a label, is typed with a blank behind it.
STRAY_ID, STRAY_LABEL = 7, 11
# The workbook's own date, so that the same rows are the same bytes.
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
    rows = [(patient, *of_patient) for patient, of_patient in zip(patients, names)]
    _write(path, REGION_COLUMNS, rows)


def _write(path, columns, rows, footer=()):
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
    # The archive, too, holds the time of writing, entry by entry.
    with ZipFile(stamped) as source, ZipFile(plain, "w") as target:
        for name in source.namelist():
            target.writestr(ZipInfo(name), source.read(name), ZIP_DEFLATED)
    path.write_bytes(plain.getvalue())
