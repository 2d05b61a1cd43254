"""Synthetic CT-like slices of tumours whose labels follow a known law.

Label ~ Bernoulli(sigmoid(b₀ + Σ c_k u_k)), where u_k are the standardised brightness, extent, log aspect
ratio and texture of the tumour. The features that a classifier of this cohort *should* use are thus known.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from numpy.random import Generator
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr, ndtri

from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.canvas import windowed
from fgf_keras.data.cohort import Cohort
from fgf_keras.errors import DataError

LATENTS = ("brightness", "extent", "log_aspect_ratio", "texture")
# Latents are standard normal, truncated here so that the largest tumour still fits the canvas.
LATENT_LIMIT = 2.5
LABEL_DRAWS = 1000
# Pixels between a tumour and the border of the canvas.
MARGIN = 2
HARMONICS = np.arange(3, 8)  # harmonic 1 would shift the tumour, 2 would stretch it as a latent does
RAGGEDNESS = 0.25
# Correlation lengths of soft tissue, fat planes and tumour texture as fractions of the canvas.
TISSUE, PLANES, TEXTURE = 0.035, 0.07, 0.022
NOISE_HU, NOISE_PIXELS = 9.0, 0.6


class Canvas(NamedTuple):
    """Pixel positions from the centre in mm, the shorter side in mm, and the filters of the random fields."""

    y: np.ndarray
    x: np.ndarray
    side: float
    spacing: np.ndarray
    filters: np.ndarray


class PhantomSlice(NamedTuple):
    """The slice of one patient on a canvas.

    Attributes:
        hu: (H, W) float64 Hounsfield units.
        mask: (H, W) bool, the tumour, at least one pixel.
        anatomy: (H, W), `hu` without tumour and noise.
        noise: (H, W) HU, mean 0, periodic in both directions.
    """

    hu: np.ndarray
    mask: np.ndarray
    anatomy: np.ndarray
    noise: np.ndarray


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


def phantom_cohort(
    config: PhantomConfig, *, size: int, window: Sequence[float], spacing: Sequence[float], seed: int
) -> Cohort:
    """Draw `config.patients` synthetic patients.

    The image of a patient depends only on `seed`, the number of the patient, the canvas and the window, not
    on the law of the labels or the number of patients. b₀ is chosen so that the mean probability over the
    cohort is `config.prevalence`.

    Args:
        config: number of patients, prevalence and the coefficients c_k.
        size: number of rows and columns of the canvas. Tumours grow with it.
        window: the HU that are mapped to 0 and 1.
        spacing: mm between rows and between columns; shapes are drawn in mm.
        seed: of all random numbers.

    Returns:
        A cohort whose provenance contains the coefficients, `intercept` b₀ and the `latents` of each patient.

    Raises:
        DataError: no draw of the labels contains both classes: the cohort is too small for its prevalence.
    """
    canvas, n = phantom_canvas(size, spacing), config.patients
    labels = phantom_labels(config, seed)
    images, masks = np.empty((n, size, size, 1), np.float32), np.empty((n, size, size, 1), np.uint8)
    for i in range(n):
        patient = phantom_slice(i, canvas, seed)
        images[i, ..., 0] = windowed(patient.hu, window)
        masks[i, ..., 0] = patient.mask
    parameters = {
        "size": int(size),
        "window": [float(end) for end in window],
        "spacing": [float(mm) for mm in spacing],
        "seed": int(seed),
        "prevalence": float(config.prevalence),
    }
    return Cohort(
        patient_id=np.array([phantom_id(i) for i in range(n)]),
        images=images,
        masks=masks,
        labels=labels.labels,
        spacing=np.tile(np.array(spacing, np.float32), (n, 1)),
        provenance={"source": "phantom", "parameters": parameters, **law_provenance(config, labels)},
    )


def relabelled(cohort: Cohort, config: PhantomConfig) -> Cohort:
    """The patients of a `phantom_cohort` with the labels of another law; equal to the cohort of that law.

    Args:
        cohort: of `config.patients` patients.
        config: prevalence and the coefficients c_k.

    Raises:
        DataError: no draw of the labels contains both classes.
    """
    old_parameters = cohort.provenance["parameters"]
    labels = phantom_labels(config, old_parameters["seed"])
    parameters = old_parameters | {"prevalence": float(config.prevalence)}
    provenance = {"parameters": parameters, **law_provenance(config, labels)}
    return dataclasses.replace(cohort, labels=labels.labels, provenance=cohort.provenance | provenance)


def law_provenance(config: PhantomConfig, labels: PhantomLabels) -> dict[str, Any]:
    """The part of the provenance of a cohort that concerns the labels."""
    return {
        "counts": {"patients": config.patients, "positive": int(labels.labels.sum())},
        "coefficients": _coefficients(config),
        "intercept": labels.intercept,
        "latents": {name: labels.latents[:, k].tolist() for k, name in enumerate(LATENTS)},
    }


def phantom_id(number: int) -> str:
    """The id of a patient; `number` counts from 0, ids from 1."""
    return f"phantom-{number + 1:04d}"


def phantom_labels(config: PhantomConfig, seed: int) -> PhantomLabels:
    """Latents and labels of the cohort, without drawing images.

    Raises:
        DataError: no draw of the labels contains both classes.
    """
    latents = np.array([_draw_latents(number, seed)[1] for number in range(config.patients)])
    score = latents @ np.array(list(_coefficients(config).values()))
    intercept = _intercept(score, config.prevalence)
    return PhantomLabels(latents, _labels(expit(intercept + score), config.prevalence, seed), intercept)


def phantom_canvas(size: int, spacing: Sequence[float]) -> Canvas:
    """The canvas of `size` x `size` pixels; `spacing` is mm between rows and between columns."""
    mm = np.asarray(spacing, float)
    y = (np.arange(size)[:, None] - (size - 1) / 2) * mm[0]
    x = (np.arange(size)[None, :] - (size - 1) / 2) * mm[1]
    side = float(size * mm.min())
    fy = scipy.fft.fftfreq(size, mm[0])[:, None]
    fx = scipy.fft.rfftfreq(size, mm[1])[None, :]
    lengths = [side * TISSUE, side * PLANES, side * TEXTURE]
    filters = [np.exp(-2 * (np.pi * length) ** 2 * (fy**2 + fx**2)) for length in lengths]
    # Detector noise has a correlation length in pixels, regardless of their spacing.
    filters.append(np.exp(-2 * (np.pi * NOISE_PIXELS) ** 2 * ((fy * mm[0]) ** 2 + (fx * mm[1]) ** 2)))
    return Canvas(y, x, side, mm, np.stack(filters))


def phantom_slice(number: int, canvas: Canvas, seed: int) -> PhantomSlice:
    """Draw the slice of one patient; `number` counts from 0."""
    rng, latents = _draw_latents(number, seed)
    return _patient(rng, latents, canvas)


def _draw_latents(number: int, seed: int) -> tuple[Generator, np.ndarray]:
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


def _fields(rng: Generator, canvas: Canvas) -> np.ndarray:
    """Smooth random fields of mean 0 and variance 1 over the canvas, one per filter."""
    white = rng.standard_normal((len(canvas.filters), canvas.y.size, canvas.x.size))
    fields = scipy.fft.irfft2(scipy.fft.rfft2(white) * canvas.filters, s=white.shape[1:])
    fields -= fields.mean(axis=(1, 2), keepdims=True)
    return fields / fields.std(axis=(1, 2), keepdims=True)


def _patient(rng: Generator, latents: np.ndarray, canvas: Canvas) -> PhantomSlice:
    brightness, extent, elongation, texture = latents
    mean_hu = 62 + 24 * brightness
    rms_radius = 0.093 * canvas.side * np.exp(0.16 * extent)
    log_aspect = 0.42 + 0.16 * elongation
    texture_hu = 15 * np.exp(0.35 * texture)
    tissue, planes, pattern, noise = _fields(rng, canvas)
    distance, centre, reach = _tumour(rng, rms_radius, log_aspect, canvas)
    # At least one pixel, even if the tumour is thinner than the grid.
    inside = distance <= max(0.0, distance.min())
    anatomy = _anatomy(rng, tissue, planes, centre, reach, canvas)
    hu = anatomy + NOISE_HU * noise
    pattern = pattern + 0.35 * noise
    pattern -= pattern[inside].mean()
    pattern *= texture_hu / max(pattern[inside].std(), 1e-6)
    # A soft rim outside the mask only, so that the mean inside is that of the latent.
    blend = np.exp(-0.5 * (np.maximum(distance, 0) / (0.7 * canvas.spacing.max())) ** 2)
    blend[inside] = 1
    hu = hu + blend * (mean_hu + np.where(inside, pattern, 0) - hu)
    return PhantomSlice(hu, inside, anatomy, NOISE_HU * noise)


def _tumour(
    rng: Generator, rms_radius: float, log_aspect: float, canvas: Canvas
) -> tuple[np.ndarray, np.ndarray, float]:
    """Signed distance to a ragged ellipse (along the ray, < 0 inside), its centre and largest radius, mm."""
    aspect = np.exp(log_aspect)
    minor = 2 * rms_radius / np.sqrt(1 + aspect**2)  # an ellipse has tr C = (a² + b²)/4
    major = aspect * minor
    amplitude = RAGGEDNESS / HARMONICS * rng.random(HARMONICS.size)
    phase, turn = rng.uniform(0, 2 * np.pi, HARMONICS.size), rng.uniform(0, np.pi)
    reach = major * (1 + amplitude.sum())
    half = np.array([canvas.y.size, canvas.x.size]) / 2 * canvas.spacing
    centre = rng.uniform(-1, 1, 2) * (half - reach - MARGIN * canvas.spacing)
    dy, dx = canvas.y - centre[0], canvas.x - centre[1]
    along = (np.cos(turn) * dx + np.sin(turn) * dy) / major
    across = (np.cos(turn) * dy - np.sin(turn) * dx) / minor
    angle = np.arctan2(across, along)
    border = 1 + sum(a * np.cos(k * angle + p) for a, k, p in zip(amplitude, HARMONICS, phase))
    radius = np.hypot(along, across)
    return (1 - border / np.maximum(radius, 1e-9)) * np.hypot(dy, dx), centre, reach


def _anatomy(
    rng: Generator, tissue: np.ndarray, planes: np.ndarray, centre: np.ndarray, reach: float, canvas: Canvas
) -> np.ndarray:
    """Soft tissue with fat planes, a bone, an airway, and skin on the side away from the tumour, in HU."""
    side = canvas.side
    hu = 48 + 7 * tissue
    hu += np.exp(-0.5 * (planes / 0.09) ** 2) * (-90 - hu)

    def ellipse(low: float, high: float) -> tuple[np.ndarray, float]:
        """The depth of each pixel inside a random ellipse, and its shorter half axis, in mm."""
        axes = rng.uniform(low, high, 2) * side
        y0, x0 = rng.uniform(-0.45, 0.45, 2) * side
        radius = np.hypot((canvas.y - y0) / axes[0], (canvas.x - x0) / axes[1])
        return (1 - radius) * axes.min(), axes.min()

    def paint(depth: np.ndarray, value: float | np.ndarray) -> np.ndarray:
        return expit(2 * depth / canvas.spacing.max()) * (value - hu)

    bone, half_axis = ellipse(0.09, 0.17)
    hu += paint(bone, rng.uniform(600, 1000))
    hu += paint(bone - 0.25 * half_axis, rng.uniform(150, 300) + 40 * tissue)
    airway, _ = ellipse(0.05, 0.12)
    hu += paint(airway, -950)
    heading = np.arctan2(-centre[0], -centre[1]) + rng.uniform(-0.6, 0.6)
    curvature = 1.2 * side
    middle = reach + rng.uniform(0.12, 0.5) * side - curvature
    body = curvature - np.hypot(
        canvas.y - centre[0] - middle * np.sin(heading), canvas.x - centre[1] - middle * np.cos(heading)
    )
    hu += paint(0.05 * side - body, -105)
    hu += paint(0.02 * side - body, 30)  # skin
    return hu + paint(-body, -1000)
