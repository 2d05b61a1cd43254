"""Alignment of gradients from anywhere: PyTorch, JAX, or a file."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fgf_keras.config.faults import require
from fgf_keras.features.units import Unit
from fgf_keras.measure.array_inputs import (
    GradientArrays,
    logits_of_samples,
    sample_names,
    sliceable,
    values_of_features,
)
from fgf_keras.measure.array_measure import ArrayMeasure
from fgf_keras.measure.array_path import ArrayFlow, ArrayPath
from fgf_keras.measure.batches import in_batches, sliced
from fgf_keras.measure.effects import reference_of, with_effects
from fgf_keras.measure.explanation import Explanation
from fgf_keras.measure.inputs import check_range
from fgf_keras.nulls.draws import NullDraws
from fgf_keras.nulls.settings import Nulls


def alignment(
    score_gradients: Any,
    feature_gradients: Any,
    mask: Any = None,
    *,
    scores: Any = None,
    values: Any = None,
    feature_names: Sequence[str] | None = None,
    sample_id: Sequence[str] | np.ndarray | None = None,
    path: ArrayPath | None = None,
    nulls: Nulls | str | Sequence[str] = (),
    alpha: float = 0.05,
    batch_size: int = 32,
    reference_sd: Mapping[str, float | None] | None = None,
    units: Mapping[str, str] | None = None,
) -> Explanation:
    """What `explain` measures, for gradients that were computed elsewhere: S, shares, slopes and p-values.

    Arrays are anything that NumPy understands. Those of gradients are sliced, `batch_size` samples at a time,
    and never loaded as a whole (memory maps, zarr). Inner products are summed in float64.

    Args:
        score_gradients: (N, *spatial, C), of a logit; or (N, K, *spatial, C), of the logits of K ≥ 2 classes.
            0 to 3 spatial axes: (N, P) for tables, (N, T, C) for sequences, (N, H, W, C) for images,
            (N, D, H, W, C) for volumes.
        feature_gradients: (N, m, *spatial, C), or a dict of (N, *spatial, C) by the name of the feature.
        mask: (N, *spatial, 1) in {0, 1}, to which all gradients are restricted; everywhere by default.
        scores: (N,) or (N, K), the logits; needed for K > 2, and for `Explanation.population`.
        values: (N, m), or a dict of (N,) by name: the features themselves, for effects and
            `Explanation.population`.
        feature_names: of m features that are not in a dict; feature_0, feature_1, … by default.
        sample_id: (N,) names of the samples, the index of the tables; their numbers by default. The draws of
            nulls depend on them.
        path: how the model is evaluated along a path to its decision boundary, for F and contributions.
        nulls, alpha: as for `explain`; tables have the nulls "white" and "permutation" only.
        batch_size: samples in memory at once.
        reference_sd: standard deviation of each feature by name over a reference cohort, for the effects; by
            default that of `values`.
        units: symbols of the units of the features by name, for plots.

    Returns:
        An `Explanation`, without columns of what was not measured: those of F without `path`, logit and class
        without `scores`, value and effect without `values`. `plot` has no images to show.

    Raises:
        ConfigError: a setting out of range; too few draws for alpha and the number of features; nulls that
            tables cannot have.
        DataError: shapes that do not fit together, entries that are not finite, masks that are empty or not
            0/1, no scores for more than two classes.
        FeatureError: no features, or names that cannot be used.
    """
    gradients = GradientArrays.of(score_gradients, feature_gradients, mask, feature_names)
    count, names, nulls = gradients.score.shape[0], gradients.names, Nulls.of(nulls)
    rules = {
        "alpha must be between 0 and 1": (alpha, 0 < alpha < 1),
        "batch_size must be at least 1": (batch_size, batch_size >= 1),
    }
    require(rules)
    nulls.refuse_too_few(alpha, len(names))
    ids = sample_names(sample_id, count)
    logits = logits_of_samples(scores, count, gradients.outputs, ids)
    known_values = values_of_features(values, count, names)
    unknown = np.zeros((count, gradients.outputs)) if logits is None else logits
    arrays = [gradients.score, gradients.features, gradients.mask, unknown, np.arange(count)]
    draws, flow = NullDraws(nulls) if nulls.kinds else None, None
    if path is not None:
        path = dataclasses.replace(path, images=sliceable(path.images, "images"))
        flow = ArrayFlow(path, gradients.shape, names, count, nulls=draws is not None)
        arrays.append(path.images)
        if path.flow.range == "bounded":
            check_range(ids, path.images, None)
    measure = ArrayMeasure(gradients, ids, nulls=draws is not None, flow=flow)
    graphs = (measure.at_sample, measure.along_flow)
    measured = in_batches(sliced(measure, arrays, ids, batch_size), graphs, draws=draws)
    if logits is None:
        measured = {key: v for key, v in measured.items() if key not in ("logits", "logit", "class")}
    support = {"support": "image" if mask is None else "mask"}
    settings: dict[str, Any] = support | ({} if path is None else path.flow.settings) | nulls.settings
    settings["units"] = {name: (units or {}).get(name, "") for name in names}
    if known_values is not None:
        measured["value"] = known_values
        if reference_sd is None:
            reference_sd = reference_of(known_values, names, [Unit("")] * len(names))
    if reference_sd is not None:
        measured, settings["reference_sd"] = with_effects(measured, names, reference_sd)
    shares = draws.finish() if draws is not None else {}
    return Explanation(ids, names, settings, measured, max(2, gradients.outputs), None, shares)
