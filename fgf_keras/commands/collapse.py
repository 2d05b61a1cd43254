"""The collapse of features to their means over the training patients, as the configuration says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fgf_keras.config import EvaluateConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.measure.collapse import collapse

if TYPE_CHECKING:
    from fgf_keras.models.alignment_model import AlignmentModel


def collapse_content(
    model: "AlignmentModel",
    cohort: Cohort,
    rows: np.ndarray,
    split: str,
    settings: EvaluateConfig,
    *,
    targets: Mapping[str, float] | None,
    **measuring: Any,
) -> dict[str, Any] | None:
    """The content of collapse.json: {"split"} and what `collapse` returns.

    None if it is not asked for, or the means over the training patients are unknown.

    Args:
        model: trained.
        cohort: patients.
        rows: positions of those of the part that is reported.
        split: its name.
        settings: the group `evaluate` of a configuration.
        targets: means of the features over the training patients, in reported units.
        measuring: threshold, hu_window, reference_sd, bootstrap, confidence and seed, see `collapse`.
    """
    if not settings.collapse or not targets:
        return None
    patients = cohort.select(rows)
    return {"split": split} | collapse(
        model,
        patients.model_inputs,
        patients.masks,
        patients.labels,
        targets=targets,
        together=True,
        spacing=patients.spacing,
        draws=settings.collapse_draws,
        length=settings.correlation_lengths[0],
        batch_size=settings.batch_size,
        **measuring,
    )
