"""One row per patient: part, label, score, decision, and alignment on every support."""

import numpy as np
import pandas as pd
from scipy.special import expit

from fgf_keras.data.cohort import Cohort
from fgf_keras.measure.clinical import ClinicalEffects
from fgf_keras.measure.explanation import Explanation


def patient_table(
    cohort: Cohort,
    splits: dict[str, np.ndarray],
    logits: np.ndarray,
    threshold: float,
    explanations: dict[str, Explanation],
    clinical: ClinicalEffects | None = None,
) -> pd.DataFrame:
    """The table of patients.csv, indexed by patient_id.

    Args:
        cohort: the measured patients.
        splits: positions in it by the name of the part.
        logits: (N,).
        threshold: of the decision, a logit.
        explanations: of the same patients, by support.
        clinical: of the clinical part; None if there is none.
    """
    split = np.full(len(cohort), "", dtype=object)
    for name, rows in splits.items():
        split[rows] = name
    table = pd.DataFrame(
        {
            "split": split,
            "label": cohort.labels,
            "logit": logits,
            "probability": expit(logits),
            "decision": (logits > threshold).astype(int),
        },
        index=pd.Index(cohort.patient_id, name="patient_id"),
    )
    parts = [
        explanation.to_frame().drop(columns=["logit", "class"]).add_prefix(f"{support}.")
        for support, explanation in explanations.items()
    ]
    if clinical is not None:
        parts.insert(0, clinical.to_frame(logits).set_index(table.index))
    return pd.concat([table, *parts], axis=1)
