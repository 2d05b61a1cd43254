"""The clinical columns of a table of patients, as raw values."""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fgf_keras.config.clinical import ClinicalColumn
from fgf_keras.config.data import DataConfig
from fgf_keras.data.slices import listing
from fgf_keras.data.table_file import Keys, read_rows
from fgf_keras.errors import DataError


def read_clinical(
    data: DataConfig,
    folder: Path,
    patient_id: Sequence[str] | np.ndarray,
    rename: Callable[[str], str] = str,
) -> pd.DataFrame | None:
    """The columns `data.clinical` of the patients of a cohort, see `clinical_table`.

    Args:
        data: `clinical_file`, by default `labels_file`, is the table.
        folder: that the name of the table is relative to.
        patient_id: (N,) ids of the cohort; rows of other patients are ignored.
        rename: the id in the cohort of an id in the table.

    Returns:
        None if no columns are asked for.

    Raises:
        DataError: as `table_file.read_rows` and `clinical_table`; a patient without a row, or with several.
    """
    if not data.clinical:
        return None
    key = "data.labels_file" if data.clinical_file is None else "data.clinical_file"
    path = folder / (data.clinical_file or data.labels_file)
    columns = list(dict.fromkeys(column.header for column in data.clinical))
    rows = read_rows(
        path,
        Keys(key, "data.sheets", "data.id_column", "data.clinical"),
        data.id_column,
        columns,
        separator=data.separator,
        sheets=data.sheets,
    )
    by_id: dict[str, list[tuple[str, ...]]] = {}
    for row in rows:
        if row.name:
            by_id.setdefault(rename(row.name), []).append(row.cells)
    ids = [str(name) for name in patient_id]
    repeated = [name for name in ids if len(by_id.get(name, [])) > 1]
    if repeated:
        raise DataError(f"{path}: patients with several rows: {listing(repeated)}. Keep one row per patient.")
    absent = [name for name in ids if name not in by_id]
    if absent:
        raise DataError(
            f"{path} has no row for {len(absent)} of {len(ids)} patients: {listing(absent)}. Add their rows "
            "(blank cells are missing values), or let data.clinical_file name another table."
        )
    cells = {header: [by_id[name][0][number] for name in ids] for number, header in enumerate(columns)}
    return clinical_table(data.clinical, cells, ids, str(path))


def clinical_table(
    columns: Sequence[ClinicalColumn],
    cells: Mapping[str, Sequence[str]],
    patient_id: Sequence[str] | np.ndarray,
    where: str,
) -> pd.DataFrame:
    """Raw values of clinical columns by their names, checked.

    Args:
        columns: which, and what they hold.
        cells: (N,) text of the patients by header.
        patient_id: (N,).
        where: the table, for messages.

    Returns:
        One row per patient, indexed by `patient_id`. Numeric columns are float64 with NaN where the value is
        missing, the others are text with None there.

    Raises:
        DataError: an unknown column; one without any value; text in a numeric column, numbers that are not
            above 0 where their logarithm is asked for, or values of an ordinal column that are not in its
            order; the message names the patients.
    """
    ids = np.asarray(patient_id).astype(str)
    table = pd.DataFrame(index=pd.Index(ids, name="patient_id"))
    for column in columns:
        if column.header not in cells:
            similar = difflib.get_close_matches(column.header, list(cells), n=1)
            hint = f" (did you mean {similar[0]!r}?)" if similar else ""
            raise DataError(
                f"{where} has no column {column.header!r}{hint}. Columns: {', '.join(map(repr, cells))}. Set "
                "data.clinical."
            )
        texts = [text.strip() for text in cells[column.header]]
        present = np.array([text != "" and text not in column.missing for text in texts])
        if not present.any():
            raise DataError(
                f"{where}, column {column.header!r}: no patient has a value. Leave it out of data.clinical."
            )
        place = f"{where}, column {column.header!r}"
        if column.scale == "numeric":
            table[column.name] = _numbers(column, texts, present, ids, place)
        else:
            if column.scale == "ordinal":
                _check_order(column, texts, present, ids, place)
            values = np.array(texts, object)
            values[~present] = None
            table[column.name] = pd.Series(values, index=table.index, dtype=object)
    return table


def _numbers(
    column: ClinicalColumn, texts: Sequence[str], present: np.ndarray, ids: np.ndarray, place: str
) -> np.ndarray:
    values = np.array([_number(text) if here else math.nan for text, here in zip(texts, present)])
    wrong = present & ~np.isfinite(values)
    if wrong.any():
        raise DataError(
            f"{place}: not a number for {_values_of(texts, wrong, ids)}. If the text means that the value is "
            f"missing, list it: {{name: {column.name}, missing: […]}}. If the column holds names, say so: "
            "kind: categorical, or kind: ordinal with an order."
        )
    if column.log and (present & ~(values > 0)).any():
        raise DataError(
            f"{place}: only numbers above 0 have logarithms. Not so for "
            f"{_values_of(texts, present & ~(values > 0), ids)}. Leave out log, or list 0 as missing."
        )
    return values


def _check_order(
    column: ClinicalColumn, texts: Sequence[str], present: np.ndarray, ids: np.ndarray, place: str
) -> None:
    wrong = present & np.array([text not in column.ranks for text in texts])
    if wrong.any():
        raise DataError(
            f"{place}: the order is {', '.join(column.ranks)}, and does not have "
            f"{_values_of(texts, wrong, ids)}. Add the values to the order, as a list where they count as "
            "one ([T4, T4a]), or to missing."
        )


def _values_of(texts: Sequence[str], rows: np.ndarray, ids: np.ndarray) -> str:
    """The different values in some rows, each with the patients that have it."""
    by_value: dict[str, list[str]] = {}
    for row in np.flatnonzero(rows):
        by_value.setdefault(texts[int(row)], []).append(str(ids[row]))
    return "; ".join(f"{value!r} ({listing(names)})" for value, names in by_value.items())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
