"""Rows of a CSV or XLSX file as text: cells are never converted to numbers or missing values."""

import csv
import difflib
import io
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from openpyxl.reader.excel import ExcelReader

from fgf_keras.data.slices import listing
from fgf_keras.errors import DataError

WORKBOOKS = (".xlsx", ".xlsm")
# Workbooks that openpyxl does not read.
OTHER_WORKBOOKS = (".xls", ".xlsb", ".ods")
# First bytes of a compound file: an XLSX file with a password, or an old XLS file.
COMPOUND_FILE = bytes.fromhex("d0cf11e0a1b11ae1")


class Keys(NamedTuple):
    """The names of the settings for a table, for messages."""

    file: str
    sheets: str
    id_column: str
    columns: str


class Row(NamedTuple):
    """One row about a patient, as stripped text; a blank cell is ""."""

    place: str
    name: str
    cells: tuple[str, ...]


class _Sheet(NamedTuple):
    """A whole CSV file (`title` is None) or one sheet. The first row is the header; no row is blank."""

    title: str | None
    rows: list[tuple[int, list[str]]]


def read_rows(
    path: Path, keys: Keys, id_column: str, columns: Sequence[str], *, separator: str, sheets: Sequence[str]
) -> list[Row]:
    """Read the columns `id_column` and `columns` of a table, sheet after sheet.

    The header is the first row that is not blank; blank rows are skipped. Extra blanks in the name of a
    column are ignored, and in a workbook so is case, because sheets are typed by hand and spell one column
    differently. A formula has the value computed when the file was last saved, and is blank if it was never
    computed.

    Args:
        path: a workbook if it ends in .xlsx or .xlsm, otherwise CSV in UTF-8.
        keys: names of the settings, for messages.
        id_column: the column for `Row.name`.
        columns: the columns for `Row.cells`, in this order.
        separator: of a CSV file.
        sheets: titles of the sheets to read, in this order; if empty, all sheets that are not blank.

    Raises:
        DataError: a file that is missing, damaged or of another format; missing sheets or columns; a
            requested column that exists twice; a row with more fields than columns (CSV).
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
            # A row may be shorter than the header.
            by_index = dict(enumerate(cells))
            rows.append(Row(place, by_index.get(index, ""), tuple(by_index.get(i, "") for i in indices)))
    return rows


def _read_csv(path: Path, content: bytes, keys: Keys, separator: str, sheets: Sequence[str]) -> _Sheet:
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


def _read_workbook(path: Path, content: bytes, keys: Keys, sheets: Sequence[str]) -> list[_Sheet]:
    """The requested sheets, in this order; if none are requested, all that are not blank."""
    if content.startswith(COMPOUND_FILE):
        raise DataError(
            f"{path} is protected by a password, or an old XLS under another name. Save it as XLSX without a "
            "password, or as CSV."
        )
    try:
        tables = _read_sheets(content)
    except Exception as error:  # damaged archives raise many types: BadZipFile, KeyError, …
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


def _read_sheets(content: bytes) -> dict[str, _Sheet]:
    with warnings.catch_warnings():
        # openpyxl warns about styles, validation rules, …, which are not used here.
        warnings.simplefilter("ignore", UserWarning)
        # Like load_workbook, which however ignores a sheet that is missing from the archive.
        reader = ExcelReader(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        reader.read()
        lost = [sheet.name for sheet in reader.parser.sheets if sheet.name not in reader.wb.sheetnames]
        if lost:
            raise ValueError(f"it has lost the sheet {listing(map(repr, lost))}")
        tables = {}
        for sheet in reader.wb.worksheets:
            # The dimensions in the file may be too small, and rows beyond them would be lost.
            sheet.reset_dimensions()
            rows = _filled_rows(enumerate(sheet.iter_rows(values_only=True), start=1))
            tables[sheet.title] = _Sheet(sheet.title, rows)
        return tables


def _filled_rows(rows: Iterable[tuple[int, Iterable[Any]]]) -> list[tuple[int, list[str]]]:
    text_rows = ((number, [_text(cell) for cell in cells]) for number, cells in rows)
    return [(number, cells) for number, cells in text_rows if any(cells)]


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # a workbook may store every number as a float
    return str(cell).strip()


def _find_columns(path: Path, table: _Sheet, keys: Keys, names: Sequence[str], separator: str) -> list[int]:
    """Indices of some columns in the header; the first of `names` is the column of the id."""
    header = table.rows[0][1] if table.rows else []
    columns = [_plain(column, table) for column in header]
    indices: list[int] = []
    for name in names:
        key = keys.columns if indices else keys.id_column
        matches = [i for i, column in enumerate(columns) if column == _plain(name, table)]
        if not matches:
            raise DataError(_no_column(path, table, key, keys.sheets, name, separator))
        if len(matches) > 1:
            same = ", ".join(repr(header[i]) for i in matches)
            raise DataError(
                f"{_where(path, table)} has several columns {name!r}: {same}. Rename all but the one that is "
                "meant."
            )
        indices += matches
    return indices


def _plain(name: str, table: _Sheet) -> str:
    name = " ".join(name.split())
    return name if table.title is None else name.casefold()


def _where(path: Path, table: _Sheet) -> str:
    return str(path) if table.title is None else f"{path}, sheet {table.title!r},"


def _no_column(path: Path, table: _Sheet, key: str, sheets_key: str, name: str, separator: str) -> str:
    columns = [column for column in table.rows[0][1] if column] if table.rows else []
    by_folded = {column.casefold(): column for column in columns}
    similar = difflib.get_close_matches(name.strip().casefold(), by_folded, n=1, cutoff=0.6)
    hint = f" (did you mean {by_folded[similar[0]]!r}?)" if similar else ""
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


def _check_ragged(path: Path, table: _Sheet, separator: str) -> None:
    width = len(table.rows[0][1])
    ragged = [number for number, cells in table.rows if any(cells[width:])]
    if ragged:
        raise DataError(
            f"{path} has more fields than columns in lines {listing(ragged)}. Quote fields that hold the "
            f"separator {separator!r}, or set data.separator."
        )
