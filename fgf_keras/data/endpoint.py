"""Labels of what happened within a time: patients who were not followed for long enough have none."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from fgf_keras.config.data import DataConfig
from fgf_keras.data.slices import listing
from fgf_keras.data.table_file import Keys, Row, read_rows
from fgf_keras.data.tables import LabelTable, read_labels
from fgf_keras.errors import DataError

_KEYS = Keys(
    "data.labels_file",
    "data.sheets",
    "data.id_column",
    "data.endpoint.event_days, data.endpoint.follow_up_days",
)


def cohort_labels(path: Path, config: DataConfig) -> LabelTable:
    """The labels of a table: those of `label_column` or, with `endpoint.days`, those within that time.

    Then the label is 1 if the event of `label_column` happened at most `endpoint.days` after diagnosis, and 0
    if the patient was without it for longer, by the time of the event or of the last follow-up. All others
    are `censored`: nobody knows their label.

    Args:
        path: of the table.
        config: with the names of the columns.

    Raises:
        DataError: as `read_labels`; with an endpoint, labels other than 0 and 1, or times that are no
            numbers.
    """
    reading: dict[str, Any] = {"separator": config.separator, "sheets": config.sheets}
    table = read_labels(path, id_column=config.id_column, label_column=config.label_column, **reading)
    endpoint = config.endpoint
    if endpoint.days is None:
        return table
    other = [f"{name}: {label}" for name, label in table.labels.items() if label not in (0, 1)]
    if other:
        raise DataError(
            f"{path}, column {config.label_column!r}: with data.endpoint, 1 is for the event and 0 for none. "
            f"Received: {listing(other)}."
        )
    columns = [endpoint.event_days, endpoint.follow_up_days]
    rows = {row.name: row for row in read_rows(path, _KEYS, config.id_column, columns, **reading)}
    labels: dict[str, int] = {}
    censored: dict[str, str] = {}
    for name, label in table.labels.items():
        event, follow_up = (_days(path, rows[name], k, column) for k, column in enumerate(columns))
        free = event if label else follow_up
        if free is None:
            censored[name] = "the time of the event is unknown" if label else "the follow-up is unknown"
        elif label and free <= endpoint.days:
            labels[name] = 1
        elif free > endpoint.days:
            labels[name] = 0
        else:
            censored[name] = f"followed for {free:g} of {endpoint.days} days"
    return dataclasses.replace(table, labels=labels, censored=censored)


def _days(path: Path, row: Row, position: int, column: str) -> float | None:
    text = row.cells[position]
    if not text:
        return None
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not math.isfinite(days):
        raise DataError(
            f"{path}, column {column!r}, {row.place}: {text!r} is not a number of days. Correct it, or leave "
            "the cell blank if it is unknown."
        )
    return days
