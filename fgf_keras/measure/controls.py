"""Negative controls: the same network on tumours without their texture, or without any intensities."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from fgf_keras.data.cohort import Cohort
from fgf_keras.measure.explainer import Explainer
from fgf_keras.measure.explanation import Explanation
from fgf_keras.nulls.chance import defined, measured_shares
from fgf_keras.results.bootstrap import bootstrap_mean
from fgf_keras.results.columns import JOINT, QUANTITIES
from fgf_keras.results.drops import classification_drops
from fgf_keras.results.population import population_content


def averaged(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Each pixel inside the mask has the mean of those inside: brightness and outline stay, texture goes.

    Args:
        image: (H, W, C).
        inside: (H, W) bool.
    """
    return _filled(image, inside, image[inside].mean(axis=0))


def shuffled(image: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pixels inside the mask in random order: their histogram stays, their arrangement goes."""
    return _filled(image, inside, rng.permutation(image[inside]))


def bare_mask(image: np.ndarray, inside: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The mask filled with the same intensity `level` (C,) for every patient: only the outline stays."""
    return _filled(image, inside, level)


def mean_level(cohort: Cohort, rows: np.ndarray) -> np.ndarray:
    """Mean over some patients of the mean intensity inside the mask, (C,)."""
    means = [cohort.images[i][cohort.masks[i, ..., 0] > 0].mean(axis=0) for i in rows]
    return np.asarray(np.mean(means, axis=0))


def controls(
    explainer: Explainer,
    explanation: Explanation,
    cohort: Cohort,
    rows: np.ndarray,
    *,
    split: str,
    threshold: float,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """AUC, alignment, effects and population share on images with less and less in them.

    `averaged`, `shuffled`, and `bare_mask` with the mean intensity of these patients.

    Args:
        explainer: of the network, on the support that is reported; null features are not drawn.
        explanation: of the unchanged images of the whole cohort, by that explainer.
        cohort: patients of two classes.
        rows: indices of the patients to measure.
        split: the name of the part of the cohort that `rows` are.
        threshold: of the decision, a logit.
        bootstrap, confidence, seed: of the intervals; the seed also shuffles the pixels.

    Returns:
        {"split", "support", "n", "level": of the bare mask, "original": lenses, "controls": {"averaged",
        "shuffled", "bare_mask"}: lenses with "auc" and "balanced_accuracy": {"before", "after", "drop":
        {"mean", "ci"}}}, the lenses {"S" and "F": {feature or "joint": {"mean", "ci"}}, "effects":
        {feature: {"mean", "ci"}}, "population": see `population_share`}.

    Source: the negative controls of READII (Scott et al., 2024) in radiomics.
    """
    rows = np.asarray(rows)
    level = mean_level(cohort, rows)
    resampling: dict[str, Any] = {"bootstrap": bootstrap, "confidence": confidence, "seed": seed}
    changes: dict[str, Callable[[int, np.ndarray, np.ndarray], np.ndarray]] = {
        "averaged": lambda row, image, inside: averaged(image, inside),
        "shuffled": lambda row, image, inside: shuffled(image, inside, _rng_of(seed, cohort.patient_id[row])),
        "bare_mask": lambda row, image, inside: bare_mask(image, inside, level),
    }
    logits = explanation.values["logit"][rows].astype(np.float64)
    content: dict[str, Any] = {
        "split": split,
        "support": explanation.settings["support"],
        "n": len(rows),
        "level": level.tolist(),
        "original": _lenses(explanation, rows, resampling),
        "controls": {},
    }
    for name, change in changes.items():
        images = cohort.images[rows]
        for i, row in enumerate(rows):
            images[i] = change(int(row), images[i], cohort.masks[row, ..., 0] > 0)
        changed = explainer(
            {"image": images, **{name: array[rows] for name, array in cohort.inputs.items()}},
            cohort.masks[rows],
            spacing=cohort.spacing[rows],
            patient_id=cohort.patient_id[rows],
            nulls=False,
        )
        after = changed.values["logit"].astype(np.float64)
        drops = classification_drops(cohort.labels[rows], logits, after, None, threshold, **resampling)
        content["controls"][name] = drops | _lenses(changed, np.arange(len(rows)), resampling)
    return content


def _rng_of(seed: int, patient: str) -> np.random.Generator:
    """Random numbers of a patient, which do not depend on who else is measured."""
    digest = hashlib.sha256(f"{seed}/{patient}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


def _filled(image: np.ndarray, inside: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    changed = image.copy()
    changed[inside] = pixels
    return changed


def _lenses(explanation: Explanation, rows: np.ndarray, resampling: dict[str, Any]) -> dict[str, Any]:
    names, rng = explanation.feature_names, np.random.default_rng(resampling["seed"])

    def summaries(values: np.ndarray, columns: list[str]) -> dict[str, Any]:
        """Mean and interval of each column over the rows where it is finite."""
        return {
            name: bootstrap_mean(
                column[np.isfinite(column)],
                bootstrap=resampling["bootstrap"],
                confidence=resampling["confidence"],
                rng=rng,
            )
            for name, column in zip(columns, values[rows].T)
        }

    lenses: dict[str, Any] = {}
    for kind in QUANTITIES:
        averaged_too = defined(explanation, kind)[:, np.newaxis]
        shares = np.where(averaged_too, measured_shares(explanation, kind), np.nan)
        lenses[kind] = summaries(shares, [*names, JOINT])
    return {
        **lenses,
        "effects": summaries(explanation.values["effect"], names),
        "population": population_content(*explanation.scores_and_values(rows), names, **resampling),
    }
