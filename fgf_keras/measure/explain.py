"""Measurement of any classifier: S, F, shares and p-values per sample."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fgf_keras.features.registry import FeatureLike
from fgf_keras.flow.settings import Flow
from fgf_keras.measure.explainer import Explainer
from fgf_keras.measure.explanation import Explanation
from fgf_keras.nulls.settings import Nulls


def explain(
    model: Any,
    images: Any,
    masks: Any = None,
    *,
    features: FeatureLike | Iterable[FeatureLike] | None = None,
    spacing: np.ndarray | Sequence[float] | None = None,
    patient_id: Sequence[str] | np.ndarray | None = None,
    support: str = "mask",
    flow: Flow | bool | None = None,
    classes: int | str = "auto",
    noise_draws: int = 1,
    nulls: Nulls | str | Sequence[str] = (),
    alpha: float = 0.05,
    batch_size: int = 8,
    hu_window: Sequence[float] | None = None,
    reference_sd: Mapping[str, float | None] | None = None,
    progress: str | None = None,
) -> Explanation:
    """How much of what a classifier reacts to is explained by features, sample by sample.

    Args:
        model: an `AlignmentModel` (it sees images·masks), a `Score`, or anything that a `Score` takes: any
            classifier that returns logits or probabilities (it sees `images` unchanged).
        images: samples as the classifier was trained on: tables (N, P), sequences (N, T, C), images
            (N, H, W, C) or volumes (N, D, H, W, C), in [0, 1] for a bounded path; a pandas DataFrame for a
            table with named columns. Several inputs: a dictionary or list of such arrays, see `Score`. Arrays
            may be of any kind that can be sliced (NumPy, zarr, a memory map): never more than a batch is
            loaded. Or batches of them: a `tf.data.Dataset`, a `keras.utils.PyDataset` or an iterable, each
            element x, (x, y) or (x, y, sample_weight) as for `fit`, where x is a batch of samples or a
            dictionary that may also hold "mask", "spacing" and "patient_id".
        masks: (N, …, 1) in {0, 1}, with the axes of the images; None for everywhere.
        features: one or a list of names, `Feature`s and functions, see `features_of`; by default those of the
            model.
        spacing: (s,) or (N, s), distance of pixels along the s axes in mm, (row, column) for images and
            (slice, row, column) for volumes; 1 mm by default.
        patient_id: (N,) names of the samples; by default the index of a DataFrame, or their numbers.
        support: "mask": all gradients inside the mask; "image": the classifier's over the whole canvas.
        flow: how the path is followed, and over what F is the mean; `Flow()` by default. False: no paths are
            followed, and there is no F.
        classes: for K > 2, the classes whose logits span the section at a sample: "all"; a number k, the k
            most probable ones; "top", the 5 most probable; or "auto", all of up to 20 classes and "top" of
            more. Each class takes one more gradient. The path is that between the most probable two in any
            case.
        noise_draws: number of linear noise features to measure as well (columns S_noise, F_noise).
        nulls: random features to compare with; one or several names of kinds stand for `Nulls(kinds=…)`.
        alpha: significance level, which determines how many draws are needed.
        batch_size: samples in memory at once.
        hu_window: (low, high), the HU range that the images were mapped from to [0, 1]; brightness is then
            reported in HU.
        reference_sd: standard deviation of each feature by name over a reference cohort, in reported units,
            for the effects (None for one that does not vary); by default over the given samples.
        progress: text of a progress bar; no bar by default.

    Returns:
        An `Explanation`.

    Raises:
        ConfigError: a setting out of range; too few draws for alpha and the number of features.
        DataError: shapes that do not fit, values that are not finite, masks that are empty or not 0/1, a
            bounded path from a sample outside [0, 1].
        ModelError: the classifier has no gradient, no such input, output or class.
        FeatureError: no features, two with the same name, or one that does not take such samples.
    """
    explainer = Explainer(
        model,
        features=features,
        support=support,
        flow=flow,
        classes=classes,
        noise_draws=noise_draws,
        nulls=nulls,
        alpha=alpha,
        batch_size=batch_size,
        hu_window=hu_window,
        reference_sd=reference_sd,
    )
    return explainer(images, masks, spacing=spacing, patient_id=patient_id, progress=progress)
