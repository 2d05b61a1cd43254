"""Which patients a report shows, by a rule that is stated, and why each of them."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from fgf_keras.config import EvaluateConfig
from fgf_keras.results.columns import JOINT, share_column

RULE = (
    "The patient with the median score of each group (positive and negative patients, classified correctly "
    "or not), those with the smallest and the largest joint S, and of each group the patient whose score is "
    "furthest on the side of the decision: in this order, as far as the number of pictures reaches. If there "
    "is room for more, they are spread over the scores."
)
# Of (label, decision): missed positives first, because there are few of them and they matter most.
GROUPS = {
    (1, 0): "missed positive",
    (1, 1): "positive, found",
    (0, 1): "negative, called positive",
    (0, 0): "negative, called negative",
}


def shown_patients(patients: pd.DataFrame, part: str, settings: EvaluateConfig) -> dict[str, str]:
    """The patients of a part that a report shows, each with the reason.

    Args:
        patients: content of patients.csv, indexed by patient_id.
        part: which is reported.
        settings: the group `evaluate` of the configuration.
    """
    rows = patients[patients["split"] == part]
    alignment = rows[share_column(settings.support[0], "S", JOINT)]
    return chosen_patients(rows, alignment, settings.pictures)


def chosen_patients(patients: pd.DataFrame, alignment: pd.Series, count: int) -> dict[str, str]:
    """Up to `count` patients of a part by `RULE`, from the highest score to the lowest, each with the reason.

    The medians come first, then the extremes of S, then those of the score; the rest, if there is room,
    spreads evenly over the ranked scores.

    Args:
        patients: with columns label, logit and decision, indexed by patient_id.
        alignment: joint S of the same patients; NaN where it is undefined.
        count: of patients.
    """
    chosen: dict[str, str] = {}
    for patient, reason in _candidates(patients, alignment):
        if patient in chosen:
            chosen[patient] += f"; {reason}"
        elif len(chosen) < count:
            chosen[patient] = reason
    order = patients["logit"].sort_values(ascending=False, kind="stable").index
    rest = [str(patient) for patient in order if str(patient) not in chosen]
    missing = min(count - len(chosen), len(rest))
    for position in np.linspace(0, len(rest) - 1, missing).round().astype(int) if missing > 0 else ():
        chosen[rest[position]] = "spread over the scores"
    return {str(patient): chosen[str(patient)] for patient in order if str(patient) in chosen}


def _candidates(patients: pd.DataFrame, alignment: pd.Series) -> Iterator[tuple[str, str]]:
    groups = []
    for label, decision in GROUPS:
        members = patients[(patients["label"] == label) & (patients["decision"] == decision)]
        if len(members):
            groups.append((decision, members["logit"].sort_values(kind="stable").index))
    for _, ranked in groups:
        yield str(ranked[(len(ranked) - 1) // 2]), "median score of this group"
    known = alignment.dropna().sort_values(kind="stable").index
    if len(known):
        yield str(known[0]), "smallest joint S"
        yield str(known[-1]), "largest joint S"
    for decision, ranked in groups:
        yield str(ranked[-1 if decision else 0]), f"{'highest' if decision else 'lowest'} score of this group"
