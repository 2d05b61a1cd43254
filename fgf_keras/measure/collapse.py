"""What a classifier loses when a feature no longer tells patients apart.

Every image is moved along the feature's own gradient flow until the feature has the same value for all, and
the classifier is asked again. Source: Jin, Dwyer, Fletcher, "Measuring Feature Dependency of Neural Networks
by Collapsing Feature Dimensions in the Data Manifold" (ISBI 2024, arXiv 2404.12341), who follow the flow in
the latent space of a generative model; here it is followed in image space unless such a model is given.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fgf_keras.config.faults import require
from fgf_keras.errors import FeatureError
from fgf_keras.features.base import Feature, unique_names
from fgf_keras.features.units import Unit, unit_of
from fgf_keras.measure.collapsing import Collapsed, Encode, Patients
from fgf_keras.measure.effects import reference_of
from fgf_keras.measure.feature_flow import Decode
from fgf_keras.results.drops import classification_drops
from fgf_keras.seeds import derived_seed

# A patient counts as moved if every feature ends at most this far from its target, in standard deviations.
TOLERANCE = 0.01


def collapse(
    model: Any,
    images: Any,
    masks: np.ndarray,
    labels: np.ndarray,
    *,
    targets: Mapping[str, float],
    features: Sequence[Feature] | None = None,
    together: bool = False,
    spacing: np.ndarray | Sequence[float] | None = None,
    threshold: float = 0.0,
    draws: int = 20,
    length: float = 3.0,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    batch_size: int = 16,
    hu_window: Sequence[float] | None = None,
    reference_sd: Mapping[str, float | None] | None = None,
    encode: Encode | None = None,
    decode: Decode | None = None,
) -> dict[str, Any]:
    """What a two-class classifier loses when features have the same value for all patients.

    Each image x follows the gradient flow of g(x) - target inside its mask and inside [0, 1] until g is the
    target. A patient who cannot be brought there has a status and is left out of the AUC before and after.
    Each feature moves alone, and the others change as they do along its gradient. Beside it stand random
    linear features ⟨v, x⟩ with smooth v, the same for all tumours in their own frames: each image is moved
    along v or -v, at random, as far as the feature moved it, in the norm of the image after clipping to
    [0, 1].

    Args:
        model: an `AlignmentModel` (it sees images·masks), or any Keras classifier that returns one logit, or
            two (it sees `images`).
        images: (N, H, W, C) or volumes (N, D, H, W, C), in [0, 1] inside the masks; or a dictionary of them,
            "image", and the other inputs of the classifier, which are held.
        masks: (N, H, W, 1) or (N, D, H, W, 1), in {0, 1}.
        labels: (N,) in {0, 1}, both present.
        targets: the value that each feature is moved to, in its reported unit, e.g. its mean over the
            training patients; features without one do not move.
        features: list of `Feature`; those of the model by default.
        together: whether to move all features at once as well: along -J⁺(g(start) - targets), with J their
            Jacobian.
        spacing: (2,) or (N, 2), (row, column) distance of pixels in mm, or three for volumes, (slice, row,
            column); 1 mm by default.
        threshold: of the decision, a logit.
        draws: number of random features; 0 for none.
        length: standard deviation of the Gaussian that smooths their fields, px.
        bootstrap, confidence, seed: of the intervals of the drops, over patients resampled within each class.
        batch_size: images in memory at once.
        hu_window: (low, high), the HU range that the images were mapped from; brightness is then in HU.
        reference_sd: standard deviation of each feature in its reported unit, which measures how far from the
            target it ends; by default over the given patients.
        encode, decode: of a generative model, from images (B, H, W, C) to latents (B, …) and back, of tf
            operations: the flow is then followed in its latent space, it begins at decode(encode(x)) inside
            the mask, and that is the image before.

    Returns:
        {"n", "n_positive", "space": "image" or "latent", "threshold", "confidence", "tolerance" (of reached
        targets, in standard deviations), "draws", "length", "features": {name: entry}, "together": entry or
        None}. An entry is {"target", "unit", "n" and "n_positive" (of the patients who reached the target),
        "status": {status: number of patients}, "distance" (mean ‖after - before‖), "distance_share" (mean of
        that over ‖before‖), "random_distance" (the same of random moves, less only if [0, 1] leaves no room),
        "error" (largest |g - target| of those patients, in standard deviations), "auc", "balanced_accuracy":
        see `classification_drops`}. Means over no patients are None; targets of `together` are by name.

    Raises:
        ConfigError: a setting out of range; only one of `encode` and `decode`.
        DataError: shapes that do not fit, pixels outside [0, 1] inside a mask, labels of one class.
        FeatureError: no targets, or one for an unknown feature.
        ModelError: the classifier returns probabilities, or more than two logits.
    """
    _check_settings(draws, length, batch_size, encode, decode)
    everyone = getattr(model, "features", []) if features is None else features
    features = _chosen(list(everyone), targets)
    names = [feature.name for feature in features]
    units = [unit_of(feature, hu_window) for feature in features]
    patients = Patients(model, images, masks, labels, spacing, features, batch_size)
    goals = np.array([(targets[name] - unit.offset) / unit.scale for name, unit in zip(names, units)])
    flow = patients.flow(goals, _scales(patients.values, goals, names, units, reference_sd), encode, decode)
    randoms = {"draws": draws, "length": length, "seed": derived_seed(seed, 0)}
    settings: dict[str, Any] = {"bootstrap": bootstrap, "confidence": confidence, "seed": seed}

    def entry(rows: list[int]) -> dict[str, Any]:
        chosen = np.isin(np.arange(len(features)), rows)
        result = flow(chosen)
        return _entry(patients, result, result.error <= TOLERANCE, threshold, randoms, settings)

    by_name = {
        name: {"target": float(targets[name]), "unit": units[i].symbol} | entry([i])
        for i, name in enumerate(names)
    }
    everything = None
    if together and len(features) > 1:
        values = {name: float(targets[name]) for name in names}
        everything = {"target": values, "unit": dict(zip(names, (unit.symbol for unit in units)))}
        everything |= entry(list(range(len(features))))
    return {
        "n": len(patients.labels),
        "n_positive": int(patients.labels.sum()),
        "space": "image" if encode is None else "latent",
        "threshold": float(threshold),
        "confidence": confidence,
        "tolerance": TOLERANCE,
        "draws": draws,
        "length": float(length),
        "features": by_name,
        "together": everything,
    }


def _entry(
    patients: Patients,
    collapsed: Collapsed,
    reached: np.ndarray,
    threshold: float,
    randoms: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The results of one move, see `collapse`."""
    moved = collapsed.select(reached)
    labels = patients.labels[reached]
    random_logits, random_distance = [], []
    # Without both classes there is nothing to compare.
    if len(np.unique(labels)) == 2:
        for logits, distance in patients.random_moves(moved, reached, **randoms):
            random_logits.append(logits)
            random_distance.append(distance.mean())
    before, after = (patients.logits(windows, reached) for windows in (moved.before, moved.after))
    return {
        "n": len(labels),
        "n_positive": int(labels.sum()),
        "status": collapsed.statuses(reached),
        "distance": _mean(moved.distance),
        "distance_share": _mean(moved.distance_share),
        "random_distance": _mean(random_distance),
        "error": float(moved.error.max()) if len(labels) else None,
        **classification_drops(labels, before, after, random_logits, threshold, **settings),
    }


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _chosen(features: list[Feature], targets: Mapping[str, float]) -> list[Feature]:
    """The features that have a target, in their own order."""
    names = unique_names(features)
    unknown = [name for name in targets if name not in names]
    if unknown or not targets:
        received = ", ".join(map(repr, unknown)) or "none"
        raise FeatureError(f"targets must name features: {', '.join(names)}. Received: {received}.")
    infinite = [f"{name} {value}" for name, value in targets.items() if not math.isfinite(value)]
    if infinite:
        raise FeatureError(f"targets must be finite. Received: {', '.join(infinite)}.")
    return [feature for feature in features if feature.name in targets]


def _scales(
    values: np.ndarray,
    targets: np.ndarray,
    names: Sequence[str],
    units: Sequence[Unit],
    reference_sd: Mapping[str, float | None] | None,
) -> np.ndarray:
    """The standard deviation of each feature in its own unit, (m,).

    For one that is constant, the size of its target (1 if that is 0): any change of it is a large one.
    """
    deviations = reference_of(values, names, units) if reference_sd is None else reference_sd
    scales = [(deviations.get(name) or math.nan) / unit.scale for name, unit in zip(names, units)]
    return np.array(
        [
            scale if scale > 0 and math.isfinite(scale) else abs(target) or 1.0
            for scale, target in zip(scales, targets)
        ]
    )


def _check_settings(
    draws: int, length: float, batch_size: int, encode: Encode | None, decode: Decode | None
) -> None:
    rules = {
        "draws must be at least 0": (draws, draws >= 0),
        "length must be > 0, in px": (length, 0 < length < math.inf),
        "batch_size must be at least 1": (batch_size, batch_size >= 1),
        "encode and decode must be given together": (
            "encode" if decode is None else "decode",
            (encode is None) == (decode is None),
        ),
    }
    require(rules)
