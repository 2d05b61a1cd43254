"""Measurement of a classifier in many calls, with graphs that are traced once."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras.config.faults import require
from fgf_keras.errors import DataError, FeatureError
from fgf_keras.features.base import refuse_coupled, refuse_ranks, unique_names
from fgf_keras.features.registry import FeatureLike, features_of
from fgf_keras.features.units import unit_of
from fgf_keras.flow.settings import Flow
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.measure.batches import in_batches
from fgf_keras.measure.effects import in_units, reference_of, with_effects
from fgf_keras.measure.explanation import Explanation
from fgf_keras.measure.inputs import check_range, check_shape
from fgf_keras.measure.sources import Batch, Source, source_of
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.input_gradient import Classifier, dtype_of
from fgf_keras.models.loaded import MASKED
from fgf_keras.models.logits import refuse_probability_operation, warn_of_probabilities
from fgf_keras.models.network import Network
from fgf_keras.models.placement import measured_evaluation
from fgf_keras.models.score import Score
from fgf_keras.nulls.draws import NullDraws
from fgf_keras.nulls.settings import Nulls
from fgf_keras.progress import progress_bar


class Explainer:
    """`explain` for many calls: its graphs are traced once for each shape of samples.

    A second call costs only its arithmetic. The weights of a Keras model may change between calls.

    Args:
        model, features, support, flow, classes, noise_draws, nulls, alpha, batch_size, hu_window,
            reference_sd: as for `explain`.

    Raises:
        ConfigError, FeatureError, ModelError: as for `explain`.

    Example:
        >>> explainer = Explainer(model, features=["brightness", "extent"])
        >>> first, second = explainer(images, masks), explainer(more_images, more_masks)
    """

    def __init__(
        self,
        model: Any,
        *,
        features: FeatureLike | Iterable[FeatureLike] | None = None,
        support: str = "mask",
        flow: Flow | bool | None = None,
        classes: int | str = "auto",
        noise_draws: int = 1,
        nulls: Nulls | str | Sequence[str] = (),
        alpha: float = 0.05,
        batch_size: int = 8,
        hu_window: Sequence[float] | None = None,
        reference_sd: Mapping[str, float | None] | None = None,
    ) -> None:
        _check_settings(noise_draws, alpha, batch_size, classes)
        self._score = Score.of(model)
        self._evaluation, self._refuses_probabilities = "auto", False
        owner = self._score.owner
        self._mask_input = isinstance(owner, AlignmentModel) or hasattr(owner, MASKED)
        if self._mask_input:
            self._evaluation = measured_evaluation(owner)
            features = owner.features if features is None else features
        if isinstance(owner, AlignmentModel):
            # Its reward is measured on what it returns, and so is everything else.
            self._refuses_probabilities = True
            self._score = self._score.of_model(owner.classifier)
            if self._score.input is None:
                self._score.input = owner.score.input
        self._features = features_of([] if features is None else features)
        self._names = unique_names(self._features)
        if noise_draws and "noise" in self._names:
            raise FeatureError(
                "A feature is named 'noise', which is the name of the noise draws measured beside the "
                "features. Rename the feature, or set noise_draws=0."
            )
        self._flow, self._nulls = Flow.wanted(flow), Nulls.of(nulls)
        self._nulls.refuse_too_few(alpha, len(self._names))
        self._support, self._noise_draws, self._batch_size = support, noise_draws, batch_size
        self._classes = classes
        self._units = [unit_of(feature, hu_window) for feature in self._features]
        self._reference_sd = reference_sd
        self._measures: dict[Any, AlignmentMeasure] = {}
        self._settings = _settings(support, self._flow, noise_draws, self._nulls, classes)

    def __call__(
        self,
        images: Any,
        masks: Any = None,
        *,
        spacing: np.ndarray | Sequence[float] | None = None,
        patient_id: Sequence[str] | np.ndarray | None = None,
        progress: str | None = None,
        nulls: bool = True,
    ) -> Explanation:
        """The explanation of samples; arguments and errors are those of `explain`.

        With `nulls=False` none are drawn, which makes a second explanation by the same graphs cheaper.
        """
        source = source_of(self._score, images, masks, spacing, patient_id, self._check_range)
        measure = self._measure(source)
        draws = NullDraws(self._nulls) if nulls else None
        ids: list[np.ndarray] = []

        def batches() -> Iterator[tuple[np.ndarray, list[tf.Tensor]]]:
            for batch in source.batches(self._batch_size):
                ids.append(batch.ids)
                yield batch.ids, _tensors(measure, batch)

        with _bar(progress, source.count) as advance:
            graphs = [measure.at_sample] + ([] if self._flow is None else [measure.along_flow])
            values = in_batches(batches(), graphs, draws=draws, advance=advance)

        def pictures(rows: np.ndarray) -> dict[str, np.ndarray]:
            if len(measure.image_shape) not in (3, 4):
                raise DataError(
                    "Pictures show images (N, H, W, C) and volumes (N, D, H, W, C). Received samples of "
                    f"shape {(None, *measure.image_shape)}: their numbers are in to_frame()."
                )
            tensors = _tensors(measure, source.select(rows))
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
            np.concatenate(ids),
            self._names,
            settings,
            values,
            classes,
            pictures,
            draws.finish() if draws else {},
        )

    def _measure(self, source: Source) -> AlignmentMeasure:
        """The measure for samples like those of a source; made, and tried on a few of them, only once."""
        specs = {name: (tuple(spec.shape), spec.dtype) for name, spec in source.others.items()}
        key = source.key, tuple(source.image.shape), source.columns, tuple(specs.items())
        if key not in self._measures:
            self._measures[key] = self._made(source)
        return self._measures[key]

    def _made(self, source: Source) -> AlignmentMeasure:
        shape = tuple(source.image.shape[1:])
        if source.key is None:
            check_shape(self._score.model, (source.count, *shape))
        features = self._features
        if source.columns is not None:
            features = [feature.bound(source.columns) for feature in features]
        refuse_ranks(features, len(shape) - 1)
        image = tf.TensorSpec([None, *shape], dtype_of(self._score.model))
        if self._refuses_probabilities:
            whole = self._score.model
            key = source.key
            named = whole if key is None else Network(whole, key=key, names=list(source.others))
            refuse_probability_operation(named, image, *source.others.values())
        classifier = self._score.network(source.key, image, source.others)
        measure = AlignmentMeasure(
            classifier,
            features,
            shape,
            others=list(source.others.values()),
            support=self._support,
            mask_input=self._mask_input,
            evaluation=self._evaluation,
            noise_draws=self._noise_draws,
            flow=self._flow,
            classes=self._classes,
            nulls=bool(self._nulls.kinds),
        )
        self._try(measure, classifier, *_tensors(measure, source.first(4)))
        return measure

    def _try(
        self,
        measure: AlignmentMeasure,
        classifier: Classifier,
        image: tf.Tensor,
        mask: tf.Tensor,
        spacing: tf.Tensor,
        *others: tf.Tensor,
    ) -> None:
        """Refuse a classifier or features that cannot be measured, by trying them on a few samples."""
        bound = classifier.bound(others) if others else classifier
        _ = measure.at_sample  # a classifier without a gradient is refused before other values are tried
        warn_of_probabilities(bound, image * mask if self._mask_input else image)
        refuse_coupled(measure.features, image, mask, spacing)

    def _check_range(self, ids: np.ndarray, images: np.ndarray, masks: np.ndarray) -> None:
        if self._flow is not None and self._flow.range == "bounded":
            check_range(ids, images, masks if self._mask_input else None)


def _tensors(measure: AlignmentMeasure, batch: Batch) -> list[tf.Tensor]:
    return measure.tensors(*batch[:3], *batch.others)


def _settings(
    support: str, flow: Flow | None, noise_draws: int, nulls: Nulls, classes: int | str
) -> dict[str, Any]:
    """The settings of an `Explanation`."""
    settings = {"support": support, **({} if flow is None else flow.settings), "noise_draws": noise_draws}
    if classes != "auto":
        settings["classes"] = classes
    return settings | nulls.settings


def _check_settings(noise_draws: int, alpha: float, batch_size: int, classes: int | str) -> None:
    rules = {
        "classes must be 'auto', 'all', 'top' or a number from 2": (
            classes,
            classes in ("auto", "all", "top") or (isinstance(classes, int) and classes >= 2),
        ),
        "noise_draws must be at least 0": (noise_draws, noise_draws >= 0),
        "alpha must be between 0 and 1": (alpha, 0 < alpha < 1),
        "batch_size must be at least 1": (batch_size, batch_size >= 1),
    }
    require(rules)


@contextlib.contextmanager
def _bar(sentence: str | None, total: int | None) -> Iterator[Callable[[int], None]]:
    if sentence is None:
        yield lambda count: None
        return
    with progress_bar() as bar:
        task = bar.add_task(sentence, total=total)
        yield lambda count: bar.advance(task, count)
