"""How well the law of a phantom predicts its labels."""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.law import LATENTS, phantom_labels
from fgf_keras.data.phantom.phantom import phantom_id


def oracle_auc(law: PhantomConfig, seed: int, patients: pd.DataFrame) -> float:
    """AUC of the probability given by the law for phantom patients; NaN if it is the same for all.

    Args:
        law: of the phantom.
        seed: of the phantom.
        patients: rows of patients.csv, indexed by patient_id.
    """
    coefficients = np.array([getattr(law, name) for name in LATENTS])
    if not coefficients.any():
        return float("nan")
    latents = phantom_labels(law, seed).latents
    number = {phantom_id(i): i for i in range(law.patients)}
    score = latents[[number[name] for name in patients.index]] @ coefficients
    return float(roc_auc_score(patients["label"], score))
