"""The law of the labels of the phantom: Label ~ Bernoulli(sigmoid(b₀ + Σ c_k u_k)), u_k the latents."""

from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr, ndtri

from fgf_keras.config.data import PhantomConfig
from fgf_keras.errors import DataError

LATENTS = ("brightness", "extent", "log_aspect_ratio", "texture")
# Latents are standard normal, truncated here so that the largest tumour still fits the canvas.
LATENT_LIMIT = 2.5
LABEL_DRAWS = 1000


class PhantomLabels(NamedTuple):
    """The latents and labels of the patients of a cohort.

    Attributes:
        latents: (N, 4) the u_k, in the order of `LATENTS`.
        labels: (N,) int64, 0 or 1.
        intercept: b₀.
    """

    latents: np.ndarray
    labels: np.ndarray
    intercept: float


def phantom_labels(config: PhantomConfig, seed: int) -> PhantomLabels:
    """Latents and labels of the cohort, without drawing images.

    Raises:
        DataError: no draw of the labels contains both classes.
    """
    latents = np.array([draw_latents(number, seed)[1] for number in range(config.patients)])
    score = latents @ np.array(list(_coefficients(config).values()))
    intercept = _intercept(score, config.prevalence)
    return PhantomLabels(latents, _labels(expit(intercept + score), config.prevalence, seed), intercept)


def law_provenance(config: PhantomConfig, labels: PhantomLabels) -> dict[str, Any]:
    """The part of the provenance of a cohort that concerns the labels."""
    return {
        "counts": {"patients": config.patients, "positive": int(labels.labels.sum())},
        "coefficients": _coefficients(config),
        "intercept": labels.intercept,
        "latents": {name: labels.latents[:, k].tolist() for k, name in enumerate(LATENTS)},
    }


def draw_latents(number: int, seed: int) -> tuple[Generator, np.ndarray]:
    """The random generator of a patient, and the latents, which are its first draws."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, number)))
    edge = ndtr(-LATENT_LIMIT)
    return rng, ndtri(rng.uniform(edge, 1 - edge, len(LATENTS)))


def _coefficients(config: PhantomConfig) -> dict[str, float]:
    return {name: float(getattr(config, name)) for name in LATENTS}


def _intercept(score: np.ndarray, prevalence: float) -> float:
    def excess(b: float) -> float:
        return expit(b + score).mean() - prevalence

    # At the lower end every probability is below the prevalence, at the upper end above it.
    return float(brentq(excess, logit(prevalence) - score.max() - 1, logit(prevalence) - score.min() + 1))


def _labels(probability: np.ndarray, prevalence: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    for _ in range(LABEL_DRAWS):
        labels = (rng.random(len(probability)) < probability).astype(np.int64)
        if 0 < labels.sum() < len(labels):
            return labels
    raise DataError(
        f"{LABEL_DRAWS} draws of the labels of {len(probability)} phantom patients at prevalence "
        f"{prevalence:g} all held a single class. Raise data.phantom.patients, or move "
        "data.phantom.prevalence towards 0.5."
    )
