"""What a trained network does on changed images: moved tumours, collapsed features, negative controls."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fgf_keras.commands.collapse import collapse_content
from fgf_keras.config import EvaluateConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.measure.behaviour import behaviour
from fgf_keras.measure.controls import controls
from fgf_keras.measure.explainer import Explainer
from fgf_keras.measure.explanation import Explanation

if TYPE_CHECKING:
    from fgf_keras.models.alignment_model import AlignmentModel


def experiments(
    model: "AlignmentModel",
    cohort: Cohort,
    rows: np.ndarray,
    explainers: Mapping[str, Explainer],
    explanations: Mapping[str, Explanation],
    settings: EvaluateConfig,
    *,
    split: str,
    threshold: float,
    resampling: dict[str, Any],
    reference: dict[str, Any],
) -> dict[str, dict[str, Any]]:
    """The contents of behaviour.json, controls.json and collapse.json by name, if they were requested.

    Args:
        model: trained.
        cohort: patients.
        rows: positions of the patients to measure, the part `split`.
        explainers, explanations: of the cohort by support; the controls are measured on the first.
        settings: the group `evaluate` of a configuration.
        split: name of the part.
        threshold: of the decision, a logit.
        resampling: bootstrap, confidence and seed of the intervals.
        reference: targets and reference_sd of the collapse, and hu_window, see `collapse_content`.
    """
    contents = {}
    if settings.behaviour:
        contents["behaviour"] = behaviour(
            model, cohort, rows, explanations, split=split, batch_size=settings.batch_size, **resampling
        )
    if settings.controls:
        support = settings.support[0]
        contents["controls"] = controls(
            explainers[support],
            explanations[support],
            cohort,
            rows,
            split=split,
            threshold=threshold,
            **resampling,
        )
    collapse = collapse_content(
        model, cohort, rows, split, settings, threshold=threshold, **reference, **resampling
    )
    return contents if collapse is None else contents | {"collapse": collapse}
