"""The metrics of one part of the patients, as metrics.json has them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fgf_keras.data.cohort import Cohort
from fgf_keras.measure.clinical import ClinicalEffects
from fgf_keras.measure.explanation import Explanation
from fgf_keras.results.alignment import alignment_table
from fgf_keras.results.classification import classification_metrics
from fgf_keras.results.clinical import clinical_content, shared_population
from fgf_keras.results.effects import effects_content
from fgf_keras.results.groups import group_content


def part_metrics(
    cohort: Cohort,
    rows: np.ndarray,
    logits: np.ndarray,
    threshold: float,
    explanations: Mapping[str, Explanation],
    clinical: ClinicalEffects | None,
    resampling: dict[str, Any],
) -> dict[str, Any]:
    """Classification, alignment and effects by support, population shares; columns and groups if any.

    Args:
        cohort: all measured patients.
        rows: positions of those of the part.
        logits: (N,) of all measured patients.
        threshold: of the decision, a logit.
        explanations: by support.
        clinical: of the clinical part; None if there is none.
        resampling: bootstrap, confidence and seed of the intervals.
    """
    labels = cohort.labels[rows]
    content = classification_metrics(labels, logits[rows], threshold, **resampling)
    for key, summary in (("alignment", alignment_table), ("effects", effects_content)):
        content[key] = {
            support: summary(explanation, rows, **resampling) for support, explanation in explanations.items()
        }
    # Scores and values are the same on every support.
    content["population"] = shared_population(next(iter(explanations.values())), clinical, rows, **resampling)
    if clinical is not None:
        content["clinical"] = clinical_content(clinical, logits, cohort.labels, rows, **resampling)
    markers = cohort.markers()
    if markers is not None:
        groups = group_content(labels, logits[rows] > threshold, markers[rows], "marker", **resampling)
        content |= {"groups": groups} if groups else {}
    return content
