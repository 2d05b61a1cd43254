"""The part of the results that concerns clinical columns: effects, and the score of each part alone."""

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_auc_score

from fgf_keras.geometry.shapley import MOST_FEATURES_FOR_SHAPLEY
from fgf_keras.results.bootstrap import bootstrap_mean
from fgf_keras.results.population import population_content

if TYPE_CHECKING:
    from fgf_keras.measure.clinical import ClinicalEffects
    from fgf_keras.measure.explanation import Explanation


def clinical_content(
    effects: "ClinicalEffects",
    logits: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    *,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """What the clinical part does on a part of the patients.

    Args:
        effects: of all patients.
        logits, labels: (N,) of all patients.
        rows: positions of the patients of the part.
        bootstrap, confidence, seed: of the intervals of means.

    Returns:
        {"is_linear", "auc": {"image", "clinical"}: AUC of each part of the score alone, "spread": {"image",
        "clinical"}: standard deviations of the parts over the patients, in logits, "effects": {column:
        {"mean", "ci", "positive" (share of patients), "sd" (of the encoded column over the training
        patients)}}}, in logits per standard deviation.
    """
    rng = np.random.default_rng(seed)
    parts = {"image": (logits - effects.logit)[rows], "clinical": effects.logit[rows]}

    def summary(k: int) -> dict[str, Any]:
        values = effects.effect[rows, k]
        mean = bootstrap_mean(values, bootstrap=bootstrap, confidence=confidence, rng=rng)
        return mean | {"positive": float(np.mean(values > 0)), "sd": float(effects.sd[k])}

    return {
        "is_linear": effects.is_linear,
        "auc": {name: float(roc_auc_score(labels[rows], part)) for name, part in parts.items()},
        "spread": {name: float(part.std()) for name, part in parts.items()},
        "effects": {name: summary(k) for k, name in enumerate(effects.names)},
    }


def shared_population(
    explanation: "Explanation", effects: "ClinicalEffects | None", rows: np.ndarray, **settings: Any
) -> dict[str, Any]:
    """The population share of features, and of clinical columns beside them as far as it can be split.

    Args:
        explanation: of all patients.
        effects: of the clinical part; None if there is none.
        rows: positions of the patients.
        settings: bootstrap, confidence and seed of `population_share`.
    """
    scores, values = explanation.scores_and_values(rows)
    names = list(explanation.feature_names)
    if effects is not None and len(names) + len(effects.names) <= MOST_FEATURES_FOR_SHAPLEY:
        values, names = np.hstack([values, effects.values[rows]]), names + effects.names
    return population_content(scores, values, names, **settings)
