"""Tables about patients, CSV or XLSX: their labels, and the names of their regions."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fgf_keras.data.slices import listing
from fgf_keras.data.table_file import Keys, Row, read_rows
from fgf_keras.errors import DataError

LABEL_KEYS = Keys("data.labels_file", "data.sheets", "data.id_column", "data.label_column")
REGION_KEYS = Keys(
    "data.roi.table.file", "data.roi.table.sheets", "data.roi.table.id_column", "data.roi.table.name_columns"
)
# A class: a whole number, possibly with zeros as decimals. Nine digits fit any integer type.
LABEL = re.compile(r"([0-9]{1,9})(\.0*)?")
TRUTH = {"false": 0, "true": 1}


@dataclass(frozen=True)
class LabelTable:
    """The labels in a table, in its order.

    A row without a usable label is not an error here: notes below a table look like a patient whose label is
    missing. If there are images for an id in `unlabelled`, it is a patient.
    """

    labels: dict[str, int]
    """Class of each id, 0 or more."""
    unlabelled: dict[str, str]
    """For ids without a usable label, the content of the cell: `blank`, or the text in quotes."""
    places: dict[str, str] = field(default_factory=dict)
    """Place of each id in the table, for messages: `line 3`, or `sheet 'HGJ' row 3`."""
    censored: dict[str, str] = field(default_factory=dict)
    """For ids whose label is unknown because they were not followed for long enough, why; see `endpoint`."""


def read_labels(
    path: Path, *, id_column: str, label_column: str, separator: str = ";", sheets: Sequence[str] = ()
) -> LabelTable:
    """Read the label of each patient: a whole number of at least 0, or true or false.

    Rows without id and label are skipped. For the lookup of sheets and columns see `table_file.read_rows`.

    Raises:
        DataError: as `read_rows`; a table without ids; a row with a label but without an id; an id that
            appears twice, unless neither row has a usable label.
    """
    rows = read_rows(path, LABEL_KEYS, id_column, [label_column], separator=separator, sheets=sheets)
    by_id = _by_id(path, id_column, rows, lambda cells: _label(cells[0]) is not None)
    labels, unlabelled = {}, {}
    for name, row in by_id.items():
        (text,) = row.cells
        label = _label(text)
        if label is None:
            unlabelled[name] = repr(text) if text else "blank"
        else:
            labels[name] = label
    return LabelTable(labels, unlabelled, {name: row.place for name, row in by_id.items()})


def read_region_names(
    path: Path,
    *,
    id_column: str,
    name_columns: Sequence[str],
    separator: str = ";",
    sheets: Sequence[str] = (),
) -> dict[str, tuple[str, ...]]:
    """Read the names of the regions of each patient, column after column.

    A cell may contain several names separated by commas. Repeated names are left out regardless of case; a
    patient without names has an empty tuple.

    Raises:
        DataError: as `table_file.read_rows`; a table without ids; names without an id; an id that appears
            twice, unless neither row has a name.
    """
    rows = read_rows(path, REGION_KEYS, id_column, name_columns, separator=separator, sheets=sheets)
    by_id = _by_id(path, id_column, rows, lambda cells: bool(_names(cells)))
    return {name: _names(row.cells) for name, row in by_id.items()}


def _by_id(
    path: Path, id_column: str, rows: Iterable[Row], is_usable: Callable[[tuple[str, ...]], bool]
) -> dict[str, Row]:
    """The row of each id; the first if there are several unusable rows (e.g. a note below each sheet)."""
    nameless = [row.place for row in rows if not row.name and any(row.cells)]
    if nameless:
        raise DataError(
            f"{path}, column {id_column!r}: '' is not the id of a patient, but the row has other entries: "
            f"{listing(nameless)}. Fill in the id, or clear the row."
        )
    by_id: dict[str, list[Row]] = {}
    for row in rows:
        if row.name:
            by_id.setdefault(row.name, []).append(row)
    if not by_id:
        raise DataError(f"{path} has a header but no row with an id. It must hold one row per patient.")
    repeated = [
        f"{name} ({', '.join(row.place for row in same)})"
        for name, same in by_id.items()
        if len(same) > 1 and any(is_usable(row.cells) for row in same)
    ]
    if repeated:
        raise DataError(
            f"{path}, column {id_column!r}: each id once, but more than once: {listing(repeated)}. "
            "Keep one row per patient."
        )
    return {name: same[0] for name, same in by_id.items()}


def _label(text: str) -> int | None:
    whole = LABEL.fullmatch(text)
    return int(whole[1]) if whole else TRUTH.get(text.lower())


def _names(cells: Iterable[str]) -> tuple[str, ...]:
    names = [name.strip() for cell in cells for name in cell.split(",")]
    first: dict[str, str] = {}
    for name in filter(None, names):
        first.setdefault(name.casefold(), name)
    return tuple(first.values())
