"""Measurement of any Keras classifier: S, F, shares and p-values per sample."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras.config.base import check_draws
from fgf_keras.data.slices import check_slices, listing
from fgf_keras.errors import ConfigError, DataError, FeatureError
from fgf_keras.features.base import Feature, refuse_coupled, unique_names
from fgf_keras.features.units import unit_of
from fgf_keras.flow.settings import Flow
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.measure.batches import in_batches
from fgf_keras.measure.effects import in_units, reference_of, with_effects
from fgf_keras.measure.explanation import Explanation
from fgf_keras.measure.inputs import check_range, check_shape, spacing_per_sample
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.logits import logits_of, refuse_probability_operation, warn_of_probabilities
from fgf_keras.models.view import measured_evaluation
from fgf_keras.nulls.draws import NullDraws
from fgf_keras.nulls.settings import Nulls
from fgf_keras.progress import progress_bar


def explain(
    model: Any,
    images: np.ndarray,
    masks: np.ndarray,
    *,
    features: Sequence[Feature] | None = None,
    spacing: np.ndarray | Sequence[float] | None = None,
    patient_id: Sequence[str] | np.ndarray | None = None,
    support: str = "mask",
    flow: Flow | None = None,
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
        model: an `AlignmentModel` (it sees images·masks), or any Keras classifier that returns logits (it
            sees `images` unchanged).
        images: (N, H, W, C), as the classifier was trained on; in [0, 1] for a bounded path.
        masks: (N, H, W, 1) in {0, 1}.
        features: list of `Feature`; those of the model by default.
        spacing: (2,) or (N, 2), (row, column) distance of pixels in mm; 1 mm by default.
        patient_id: (N,) names of the samples; their numbers by default.
        support: "mask": all gradients inside the mask; "image": the classifier's over the whole canvas.
        flow: how the path is followed, and over what F is the mean; `Flow()` by default.
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
        DataError: shapes that do not fit, pixels that are not finite, masks that are empty or not 0/1, a
            bounded path from an image outside [0, 1].
        ModelError: the classifier returns probabilities, or has no gradient.
        FeatureError: no features, or two with the same name.
    """
    images = np.asarray(images)
    explainer = Explainer(
        model,
        images.shape[1:],
        features=features,
        support=support,
        flow=flow,
        noise_draws=noise_draws,
        nulls=nulls,
        alpha=alpha,
        batch_size=batch_size,
        hu_window=hu_window,
        reference_sd=reference_sd,
    )
    return explainer(images, masks, spacing=spacing, patient_id=patient_id, progress=progress)


class Explainer:
    """`explain` for a model whose weights may change between calls: its graphs are traced once.

    Args:
        model: see `explain`.
        image_shape: (H, W, C).
        features, support, flow, noise_draws, nulls, alpha, batch_size: as for `explain`, without defaults.
        hu_window, reference_sd: as for `explain`.

    Raises:
        ConfigError, FeatureError: as for `explain`.
    """

    def __init__(
        self,
        model: Any,
        image_shape: Sequence[int],
        *,
        features: Sequence[Feature] | None,
        support: str,
        flow: Flow | None,
        noise_draws: int,
        nulls: Nulls | str | Sequence[str],
        alpha: float,
        batch_size: int,
        hu_window: Sequence[float] | None = None,
        reference_sd: Mapping[str, float | None] | None = None,
    ) -> None:
        self._mask_input = isinstance(model, AlignmentModel)
        self._classifier = model.classifier if self._mask_input else logits_of(model)
        self._checked = False
        features = list(features) if features is not None else list(getattr(model, "features", []))
        self._names = unique_names(features)
        if noise_draws and "noise" in self._names:
            raise FeatureError(
                "A feature is named 'noise', which is the name of the noise draws measured beside the "
                "features. Rename the feature, or set noise_draws=0."
            )
        flow, nulls = flow or Flow(), Nulls.of(nulls)
        _check_settings(noise_draws, alpha, batch_size)
        if nulls.kinds:
            _check_draws(nulls.draws, alpha, len(features))
        self._measure = AlignmentMeasure(
            self._classifier,
            features,
            image_shape,
            support=support,
            mask_input=self._mask_input,
            evaluation=measured_evaluation(model),
            noise_draws=noise_draws,
            flow=flow,
            nulls=bool(nulls.kinds),
        )
        self._batch_size = batch_size
        self._nulls = nulls
        self._units = [unit_of(feature, hu_window) for feature in features]
        self._reference_sd = reference_sd
        self._settings: dict[str, Any] = {
            "support": support,
            "weight": flow.average,
            "steps": flow.steps,
            "max_steps": flow.max_steps,
            "tolerance": flow.tolerance,
            "range": flow.range,
            "noise_draws": noise_draws,
        }
        if nulls.kinds:
            self._settings |= {
                "null": list(nulls.kinds),
                "n_null": nulls.draws,
                "correlation_length": np.atleast_1d(nulls.lengths).tolist(),
                "seed": nulls.seed,
            }

    def __call__(
        self,
        images: np.ndarray,
        masks: np.ndarray,
        *,
        spacing: np.ndarray | Sequence[float] | None = None,
        patient_id: Sequence[str] | np.ndarray | None = None,
        progress: str | None = None,
        nulls: bool = True,
    ) -> Explanation:
        """The explanation of samples; arguments and errors are those of `explain`.

        With `nulls=False` none are drawn, which makes a second explanation by the same graphs cheaper.
        """
        images, masks = np.asarray(images), np.asarray(masks)
        ids = np.arange(len(images)).astype(str) if patient_id is None else np.asarray(patient_id).astype(str)
        check_slices(ids, images, masks)
        if len(set(ids)) < len(ids):
            duplicates = sorted({name for name in ids if (ids == name).sum() > 1})
            raise DataError(f"patient_id must name each sample once. More than once: {listing(duplicates)}.")
        check_shape(self._classifier, images)
        if self._settings["range"] == "bounded":
            check_range(ids, images, masks if self._mask_input else None)
        spacings = spacing_per_sample(spacing, len(images))
        measure, draws = self._measure, NullDraws(self._nulls) if nulls else None

        def batch(rows: slice | np.ndarray) -> list[tf.Tensor]:
            return measure.tensors(images[rows], masks[rows], spacings[rows])

        first = batch(slice(0, 4))
        if not self._checked:
            self._check(*first)
        with _bar(progress, len(images)) as advance:
            values = in_batches(
                measure,
                (images, masks, spacings),
                ids,
                (measure.at_sample, measure.along_flow),
                batch_size=self._batch_size,
                draws=draws,
                advance=advance,
            )

        def pictures(rows: np.ndarray) -> dict[str, np.ndarray]:
            tensors = batch(rows)
            return {
                "image": tensors[0].numpy(),
                "mask": tensors[1].numpy(),
                **{key: value.numpy() for key, value in measure.fields(*tensors).items()},
            }

        classes = max(2, values["logits"].shape[1])
        reference = self._reference_sd
        if reference is None:
            reference = reference_of(values["value"], self._names, self._units)
        values, sd = with_effects(in_units(values, self._units), self._names, reference)
        settings = self._settings | {
            "units": {name: unit.symbol for name, unit in zip(self._names, self._units)},
            "reference_sd": sd,
        }
        return Explanation(
            ids, self._names, settings, values, classes, pictures, draws.finish() if draws else {}
        )

    def _check(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor) -> None:
        """Refuse a classifier or features that cannot be measured, by trying them on a few samples; once."""
        image_spec = tf.TensorSpec([None, *image.shape[1:]], image.dtype)
        refuse_probability_operation(self._classifier, image_spec)
        warn_of_probabilities(self._classifier, image * mask if self._mask_input else image)
        refuse_coupled(self._measure.features, image, mask, spacing)
        self._checked = True


def _check_settings(noise_draws: int, alpha: float, batch_size: int) -> None:
    rules = {
        "noise_draws must be at least 0": (noise_draws, noise_draws >= 0),
        "alpha must be between 0 and 1": (alpha, 0 < alpha < 1),
        "batch_size must be at least 1": (batch_size, batch_size >= 1),
    }
    for rule, (value, holds) in rules.items():
        if not holds:
            raise ConfigError(f"{rule}. Received: {value!r}.")


def _check_draws(draws: int, alpha: float, tests: int) -> None:
    try:
        check_draws(draws, alpha, tests)
    except ValueError as error:
        raise ConfigError(f"Nulls: draws: {error}.") from error


@contextlib.contextmanager
def _bar(sentence: str | None, total: int) -> Iterator[Callable[[int], None]]:
    if sentence is None:
        yield lambda count: None
        return
    with progress_bar() as bar:
        task = bar.add_task(sentence, total=total)
        yield lambda count: bar.advance(task, count)
