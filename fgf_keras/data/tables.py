"""Tables about patients, CSV or XLSX: which label each has, and what the regions of each are called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fgf_keras.data.slices import listing
from fgf_keras.data.table_file import Keys, read_rows
from fgf_keras.errors import DataError

LABEL_KEYS = Keys("data.labels_file", "data.sheets", "data.id_column", "data.label_column")
REGION_KEYS = Keys(
    "data.roi.table.file", "data.roi.table.sheets", "data.roi.table.id_column", "data.roi.table.name_columns"
)
# A class: a whole number, also with decimals that are 0. Nine digits fit any integer type.
LABEL = re.compile(r"([0-9]{1,9})(\.0*)?")
TRUTH = {"false": 0, "true": 1}


@dataclass(frozen=True)
class LabelTable:
    """What a table says of each patient, in its order.

    A row without a usable label is no error here: notes below a table look the same as a patient whose
    label was forgotten. Whoever has images of an id in `unlabelled` knows that it is a patient.
    """

    labels: dict[str, int]
    """Class of an id, 0 or more."""
    unlabelled: dict[str, str]
    """What stands in place of a label: `blank`, or the text in quotes."""
    places: dict[str, str] = field(default_factory=dict)
    """Where an id of either stands, for messages: `line 3`, or `sheet 'HGJ' row 3`."""


def read_labels(
    path: Path, *, id_column: str, label_column: str, separator: str = ";", sheets: Sequence[str] = ()
) -> LabelTable:
    """Read the label of each patient. A label is a whole number from 0, or true or false.

    Rows without id and label are skipped. `table_file.read_rows` says how sheets and columns are found.

    Raises:
        DataError: what `read_rows` refuses; no id; something in the label column of a row without an id; an
            id that is given twice, unless neither row has a usable label.
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
    """Read what the regions of each patient are called, column after column.

    A cell may hold several names with commas between them. A name that is given again, in whatever case, is
    left out; a patient without any has an empty tuple.

    Raises:
        DataError: what `table_file.read_rows` refuses; no id; names without an id; an id that is given
            twice, unless neither row has a name.
    """
    rows = read_rows(path, REGION_KEYS, id_column, name_columns, separator=separator, sheets=sheets)
    by_id = _by_id(path, id_column, rows, lambda cells: bool(_names(cells)))
    return {name: _names(row.cells) for name, row in by_id.items()}


def _by_id(path, id_column, rows, is_usable):
    """The row of each id. Where several say nothing usable (a note below each sheet, say), the first."""
    nameless = [row.place for row in rows if not row.name and any(row.cells)]
    if nameless:
        raise DataError(
            f"{path}, column {id_column!r}: '' names no patient, but the row says something of one: "
            f"{listing(nameless)}. Fill in the id, or clear the row."
        )
    by_id = {}
    for row in rows:
        if row.name:
            by_id.setdefault(row.name, []).append(row)
    if not by_id:
        raise DataError(f"{path} has a header but no row with an id. It must hold one row per patient.")
    twice = [
        f"{name} ({', '.join(row.place for row in same)})"
        for name, same in by_id.items()
        if len(same) > 1 and any(is_usable(row.cells) for row in same)
    ]
    if twice:
        raise DataError(
            f"{path}, column {id_column!r}: each id once, but more than once: {listing(twice)}. "
            "Keep one row per patient."
        )
    return {name: same[0] for name, same in by_id.items()}


def _label(text):
    whole = LABEL.fullmatch(text)
    return int(whole[1]) if whole else TRUTH.get(text.lower())


def _names(cells):
    names = [name.strip() for cell in cells for name in cell.split(",")]
    first = {}
    for name in filter(None, names):
        first.setdefault(name.casefold(), name)
    return tuple(first.values())
