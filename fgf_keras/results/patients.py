"""The table of patients, patients.csv: a row for each, with the shares that means are made of."""

from pathlib import Path

import pandas as pd

from fgf_keras.flow.status import ENDED
from fgf_keras.results.columns import patient_column, share_of

_ENDED = [status.name.lower() for status in ENDED]


def read_patients(path: str | Path) -> pd.DataFrame:
    """The content of patients.csv, by patient_id."""
    return pd.read_csv(path, index_col="patient_id", dtype={"patient_id": str})


def defined_shares(patients: pd.DataFrame, column: str) -> pd.Series:
    """S or F by patient, NaN where it is undefined.

    The mean over a path that did not end says nothing about the boundary; version 0.1 wrote it all the same.

    Args:
        patients: rows of patients.csv.
        column: see `columns.share_column`.
    """
    share = share_of(column)
    values = patients[column]
    if share is None or share.quantity == "S":
        return values
    return values.where(patients[patient_column(share.support, "status")].isin(_ENDED))
