"""The table patients.csv: one row per patient, with the shares that are averaged."""

from pathlib import Path
from typing import Any

import pandas as pd

from fgf_keras.flow.status import ENDED
from fgf_keras.results.columns import patient_column, share_of

_ENDED = [status.name.lower() for status in ENDED]


def read_patients(path: str | Path) -> pd.DataFrame:
    """Read patients.csv, indexed by patient_id."""
    # What is missing is written as nothing; an id such as NA is a name.
    reading: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
    return pd.read_csv(path, index_col="patient_id", dtype={"patient_id": str}, **reading)


def defined_shares(patients: pd.DataFrame, column: str) -> pd.Series:
    """S, F or the partial share of each patient; NaN if it is undefined.

    The mean over a path that did not reach the boundary is not F, but version 0.1 wrote it all the same.

    Args:
        patients: rows of patients.csv.
        column: see `columns.share_column`.
    """
    share = share_of(column)
    values = patients[column]
    if share is None or share.quantity != "F":
        return values
    return values.where(patients[patient_column(share.support, "status")].isin(_ENDED))
