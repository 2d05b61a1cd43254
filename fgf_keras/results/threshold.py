"""The threshold of the decision, chosen on patients or given by the loss."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from scipy.special import expit, logit

from fgf_keras.results.classification import choose_threshold

VALIDATION, TRAINING = "validation", "train"
ThresholdKind = Literal["validation", "validation_and_training", "prior"]


def decision_threshold(
    kind: ThresholdKind,
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    prevalence: float | None = None,
) -> dict[str, Any]:
    """The logit above which a patient is called positive.

    Args:
        kind: "validation" and "validation_and_training": the largest balanced accuracy on those patients;
            "prior": the score at which both classes are equally likely under the loss of the training if
            they are equally frequent.
        scores: (labels (n,) in {0, 1}, logits (n,)) of each part by its name, "train" and "validation".
        prevalence: share of positive patients in the loss of the training; None if classes weigh the same
            there, for which "prior" is the logit 0.

    Returns:
        {"logit", "probability", "chosen_on", "criterion"}.

    Raises:
        DataError: the patients that it is chosen on are of one class.
    """
    if kind == "prior":
        threshold = 0.0 if prevalence is None else float(logit(prevalence))
        chosen_on, criterion = "prior", "equally likely classes, each with half of the patients"
    else:
        parts = [VALIDATION] if kind == "validation" else [VALIDATION, TRAINING]
        labels, logits = (np.concatenate([scores[part][k] for part in parts]) for k in range(2))
        threshold = choose_threshold(labels, logits)
        chosen_on, criterion = kind, "largest balanced accuracy"
    return {
        "logit": threshold,
        "probability": float(expit(threshold)),
        "chosen_on": chosen_on,
        "criterion": criterion,
    }
