"""Rows of a CSV or XLSX file as text: what a cell says is never taken for a number or a missing value."""

import csv
import difflib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from openpyxl.reader.excel import ExcelReader

from fgf_keras.data.slices import listing
from fgf_keras.errors import DataError

WORKBOOKS = (".xlsx", ".xlsm")
# Workbooks that openpyxl does not read.
OTHER_WORKBOOKS = (".xls", ".xlsb", ".ods")
# How a compound file starts: what a password makes of an XLSX, and what an old XLS is.
COMPOUND_FILE = bytes.fromhex("d0cf11e0a1b11ae1")


class Keys(NamedTuple):
    """The settings behind a table, by the names that a user knows them by."""

    file: str
    sheets: str
    id_column: str
    columns: str


class Row(NamedTuple):
    """What one row says of a patient: stripped text, "" where a cell is blank."""

    place: str
    name: str
    cells: tuple[str, ...]


class _Sheet(NamedTuple):
    """One table: a whole CSV (`title` is None), or a sheet. Its first row is the header; none is blank."""

    title: str | None
    rows: list[tuple[int, list[str]]]


def read_rows(
    path: Path, keys: Keys, id_column: str, columns: Sequence[str], *, separator: str, sheets: Sequence[str]
) -> list[Row]:
    """Read the columns `id_column` and `columns` of a table, sheet after sheet.

    The header is the first row that is not blank; blank rows are skipped. Blanks around and within the name
    of a column do not count, and neither does case in a workbook: its sheets are typed by hand and spell one
    column differently. A formula has the value that it had when the file was saved, and is blank where no
    program has computed it yet.

    Args:
        path: workbook where it ends in .xlsx or .xlsm, CSV in UTF-8 otherwise.
        keys: settings that messages name.
        id_column: goes to `Row.name`.
        columns: go to `Row.cells`, in this order.
        separator: of a CSV.
        sheets: titles of the sheets to read, in this order; none for all that are not blank.

    Raises:
        DataError: a file that is missing, damaged or of another format; sheets or columns that are missing;
            a column that is wanted and there twice; a row with more fields than columns (CSV).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"The table {str(path)!r} cannot be read: {error.strerror}. Let {keys.file} name it, relative to "
            "data.root."
        ) from error
    suffix = path.suffix.lower()
    if suffix in OTHER_WORKBOOKS:
        raise DataError(f"{path} is a workbook in the format {suffix}. Save it as XLSX or CSV.")
    if suffix in WORKBOOKS:
        tables = _read_workbook(path, content, keys, sheets)
    else:
        tables = [_read_csv(path, content, keys, separator, sheets)]
    rows = []
    for table in tables:
        index, *indices = _find_columns(path, table, keys, [id_column, *columns], separator)
        if table.title is None:
            _check_ragged(path, table, separator)
        for number, cells in table.rows[1:]:
            place = f"line {number}" if table.title is None else f"sheet {table.title!r} row {number}"
            # A row may end before the header does.
            at = dict(enumerate(cells))
            rows.append(Row(place, at.get(index, ""), tuple(at.get(i, "") for i in indices)))
    return rows


def _read_csv(path, content, keys, separator, sheets):
    if len(separator) != 1 or separator in '"\r\n':
        raise DataError(
            f"data.separator must be one character, and neither a quote nor an end of line. "
            f"Received: {separator!r}."
        )
    if sheets:
        raise DataError(
            f"{path} is read as CSV, which has no sheets, but {keys.sheets} names {listing(sheets)}. Set "
            f"{keys.sheets}=[], or let {keys.file} name an XLSX file."
        )
    try:
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        reader = csv.reader(text, delimiter=separator, strict=True)
        return _Sheet(None, _filled_rows((reader.line_num, cells) for cells in reader))
    except (UnicodeDecodeError, csv.Error) as error:
        if content.startswith(b"PK\x03\x04"):
            raise DataError(f"{path} is a workbook by its content: let its name end in .xlsx.") from error
        raise DataError(
            f"{path} is not a table of text: {error}. Save it as CSV in UTF-8 with the separator "
            f"{separator!r}."
        ) from error


def _read_workbook(path, content, keys, sheets):
    """The sheets that are asked for, in that order; where none is, all that hold something."""
    if content.startswith(COMPOUND_FILE):
        raise DataError(
            f"{path} is protected by a password, or an old XLS under another name. Save it as XLSX without a "
            "password, or as CSV."
        )
    try:
        tables = _read_sheets(content)
    except Exception as error:  # a damaged archive raises whatever it meets: BadZipFile, KeyError, …
        raise DataError(
            f"{path} cannot be read as a workbook: {error}. Save it again as XLSX or CSV."
        ) from error
    unknown = [title for title in sheets if title not in tables]
    if unknown:
        raise DataError(
            f"{path} has no sheet {', '.join(map(repr, unknown))}. Sheets: "
            f"{', '.join(map(repr, tables)) or 'none'}. Set {keys.sheets}."
        )
    chosen = [tables[title] for title in dict.fromkeys(sheets)] or [t for t in tables.values() if t.rows]
    if not chosen:
        raise DataError(
            f"{path} has no sheet that holds anything. Sheets: {', '.join(map(repr, tables)) or 'none'}. "
            f"Let {keys.file} name another table."
        )
    return chosen


def _read_sheets(content):
    with warnings.catch_warnings():
        # Of what openpyxl leaves out (styles, validation rules, …) nothing is read here.
        warnings.simplefilter("ignore", UserWarning)
        # What load_workbook does; but that passes over a sheet that the archive has lost.
        reader = ExcelReader(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        reader.read()
        lost = [sheet.name for sheet in reader.parser.sheets if sheet.name not in reader.wb.sheetnames]
        if lost:
            raise ValueError(f"it has lost the sheet {listing(map(repr, lost))}")
        tables = {}
        for sheet in reader.wb.worksheets:
            # The size that a file states may be too small, and rows beyond it would be lost.
            sheet.reset_dimensions()
            rows = _filled_rows(enumerate(sheet.iter_rows(values_only=True), start=1))
            tables[sheet.title] = _Sheet(sheet.title, rows)
        return tables


def _filled_rows(rows):
    as_text = ((number, [_text(cell) for cell in cells]) for number, cells in rows)
    return [(number, cells) for number, cells in as_text if any(cells)]


def _text(cell):
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # a workbook may keep every number as a float
    return str(cell).strip()


def _find_columns(path, table, keys, wanted, separator):
    """Where the columns `wanted`, the first of which is the id, stand in the header."""
    header = table.rows[0][1] if table.rows else []
    named = [_plain(column, table) for column in header]
    indices = []
    for name in wanted:
        key = keys.columns if indices else keys.id_column
        columns_found = [i for i, column in enumerate(named) if column == _plain(name, table)]
        if not columns_found:
            raise DataError(_no_column(path, table, key, keys.sheets, name, separator))
        if len(columns_found) > 1:
            same = ", ".join(repr(header[i]) for i in columns_found)
            raise DataError(
                f"{_where(path, table)} has several columns {name!r}: {same}. Rename all but the one that is "
                "meant."
            )
        indices += columns_found
    return indices


def _plain(name, table):
    name = " ".join(name.split())
    return name if table.title is None else name.casefold()


def _where(path, table):
    return str(path) if table.title is None else f"{path}, sheet {table.title!r},"


def _no_column(path, table, key, sheets_key, name, separator):
    columns = [column for column in table.rows[0][1] if column] if table.rows else []
    by_folded = {column.casefold(): column for column in columns}
    near = difflib.get_close_matches(name.strip().casefold(), by_folded, n=1, cutoff=0.6)
    hint = f" (did you mean {by_folded[near[0]]!r}?)" if near else ""
    guess, remedy = "", f"Set {key}."
    if table.title is not None:
        remedy = f"Set {key}, or let {sheets_key} name the sheets to read."
    elif len(columns) == 1:
        guess = f" There is one column only: is {separator!r} the separator?"
        remedy = f"Set {key} or data.separator."
    return (
        f"{_where(path, table)} has no column {name!r}{hint}. Columns: "
        f"{', '.join(map(repr, columns)) or 'none'}.{guess} {remedy}"
    )


def _check_ragged(path, table, separator):
    width = len(table.rows[0][1])
    ragged = [number for number, cells in table.rows if any(cells[width:])]
    if ragged:
        raise DataError(
            f"{path} has more fields than columns in lines {listing(ragged)}. Quote fields that hold the "
            f"separator {separator!r}, or set data.separator."
        )
