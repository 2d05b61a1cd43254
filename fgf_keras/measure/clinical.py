"""What the clinical part of a network does to the score of each patient."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fgf_keras.data.cohort import Cohort
from fgf_keras.models.late_fusion import LateFusion


@dataclass(frozen=True)
class ClinicalEffects:
    """The clinical part of N patients' scores, and what each of k encoded columns does to it.

    Attributes:
        names: of the k columns.
        sd: (k,) standard deviations over the training patients.
        values: (N, k), encoded.
        logit: (N,), what the clinical part adds to the score.
        effect: (N, k), change of the logit per standard deviation, between half of one below and half of one
            above the patient's value with the other columns held; of a linear part, its coefficient times the
            standard deviation, the same for all.
        is_linear: whether the part has no hidden layers.
    """

    names: list[str]
    sd: np.ndarray
    values: np.ndarray
    logit: np.ndarray
    effect: np.ndarray
    is_linear: bool

    def to_frame(self, logit: np.ndarray) -> pd.DataFrame:
        """Columns of patients.csv: image_logit, clinical_logit, clinical.value_<column>, .effect_<column>.

        Args:
            logit: (N,), the whole score.
        """
        columns = {"image_logit": logit - self.logit, "clinical_logit": self.logit}
        for k, name in enumerate(self.names):
            columns |= {
                f"clinical.value_{name}": self.values[:, k],
                f"clinical.effect_{name}": self.effect[:, k],
            }
        return pd.DataFrame(columns)


def clinical_effects(model: Any, cohort: Cohort) -> ClinicalEffects | None:
    """The clinical part of an `AlignmentModel` of two classes on patients; None if it has none.

    Args:
        model: trained.
        cohort: with the encoding of the training.
    """
    classifier = getattr(model, "classifier", model)
    if not isinstance(classifier, LateFusion) or cohort.encoding is None:
        return None
    part, values = classifier.clinical_part, cohort.inputs["clinical"]
    sd = np.array(cohort.encoding.sd)

    def logit(changed: np.ndarray) -> np.ndarray:
        return np.asarray(part(changed.astype(np.float32), training=False), np.float64)[:, 0]

    steps = np.diag(sd / 2)
    effect = np.stack([logit(values + step) - logit(values - step) for step in steps], axis=1)
    is_linear = len(part.layers) == 2
    return ClinicalEffects(cohort.encoding.names, sd, values, logit(values), effect, is_linear)
