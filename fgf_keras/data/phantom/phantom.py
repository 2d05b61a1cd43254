"""Synthetic CT-like slices of tumours whose labels follow a known law.

Label ~ Bernoulli(sigmoid(b₀ + Σ c_k u_k)), where u_k are the standardised brightness, extent, log aspect
ratio and texture of the tumour. The features that a classifier of this cohort *should* use are thus known.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.random import Generator
from scipy.special import expit

from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.canvas import windowed
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.phantom.decoy import Decoy, draw_decoy, with_marker
from fgf_keras.data.phantom.law import PhantomLabels, draw_latents, law_provenance, phantom_labels

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
    decoy = draw_decoy(config.decoy, labels.labels, seed) if config.decoy.hu else None
    images, masks = np.empty((n, size, size, 1), np.float32), np.empty((n, size, size, 1), np.uint8)
    for i in range(n):
        patient = phantom_slice(i, canvas, seed)
        hu = patient.hu
        if decoy is not None and decoy.marked[i]:
            hu = with_marker(hu, patient.mask, config.decoy.hu, canvas.spacing)
        images[i, ..., 0] = windowed(hu, window)
        masks[i, ..., 0] = patient.mask
    cohort = drawn_cohort(
        config, labels, images, masks, size=int(size), window=window, spacing=spacing, seed=seed
    )
    return cohort if decoy is None else _with_decoy(cohort, decoy, config)


def _with_decoy(cohort: Cohort, decoy: Decoy, config: PhantomConfig) -> Cohort:
    """The cohort with ids that name the hospital, and the markers in its provenance."""
    ids = [f"phantom-{where}-{i + 1:04d}" for i, where in enumerate(decoy.hospital)]
    content = config.decoy.model_dump() | {"marked": decoy.marked.astype(int).tolist()}
    return dataclasses.replace(
        cohort, patient_id=np.array(ids), provenance=cohort.provenance | {"decoy": content}
    )


def drawn_cohort(
    config: PhantomConfig,
    labels: PhantomLabels,
    images: np.ndarray,
    masks: np.ndarray,
    *,
    size: int | list[int],
    window: Sequence[float],
    spacing: Sequence[float],
    seed: int,
) -> Cohort:
    """The cohort of patients that were drawn, with the provenance of `phantom_cohort`."""
    n = config.patients
    parameters = {
        "size": size,
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


def phantom_id(number: int) -> str:
    """The id of a patient; `number` counts from 0, ids from 1."""
    return f"phantom-{number + 1:04d}"


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
    rng, latents = draw_latents(number, seed)
    return _patient(rng, latents, canvas)


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
