"""The threshold of a run, on the patients that the configuration says."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fgf_keras.config import EvaluateConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.dataset import make_dataset
from fgf_keras.results.threshold import TRAINING, decision_threshold

if TYPE_CHECKING:
    from fgf_keras.models.alignment_model import AlignmentModel


def run_threshold(
    model: "AlignmentModel",
    settings: EvaluateConfig,
    scores: dict[str, tuple[np.ndarray, np.ndarray]],
    training: Cohort | None,
    *,
    prevalence: float | None,
) -> dict[str, Any]:
    """The threshold by `decision_threshold`; training patients who were not measured are scored for it.

    Args:
        model: the trained model.
        settings: the group `evaluate` of a configuration.
        scores: (labels, logits) of the measured parts by name.
        training: the training patients, if they are known.
        prevalence: see `decision_threshold`.
    """
    if settings.threshold == "validation_and_training" and TRAINING not in scores and training is not None:
        rows = np.arange(len(training))
        batches = make_dataset(training, rows, batch_size=settings.batch_size, windows=True)
        logits = np.asarray(model.predict(batches, verbose=0), np.float64).reshape(-1)
        scores = scores | {TRAINING: (training.labels, logits)}
    return decision_threshold(settings.threshold, scores, prevalence=prevalence)
