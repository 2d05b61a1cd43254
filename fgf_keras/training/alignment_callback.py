"""The Keras callback that measures S and F during training."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fgf_keras.errors import ModelError
from fgf_keras.features.base import Feature, unique_names
from fgf_keras.features.registry import features_of
from fgf_keras.flow.settings import Flow
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.measure.samples import AlignmentSamples
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.inputs import IMAGE
from fgf_keras.models.network import Network
from fgf_keras.models.placement import measured_evaluation
from fgf_keras.training.tensorboard.alignment import AlignmentSummaries
from fgf_keras.training.tensorboard.scalars import write_scalars
from fgf_keras.training.tensorboard.writers import SummaryWriters

# Most steps of a passage (evaluation takes up to 128): some paths of a network at the start of its training
# do not end with any number of steps.
MOST_STEPS = 32


class AlignmentCallback(keras.callbacks.Callback):
    """Measures S every epoch and F every few epochs on validation data.

    Writes `val_S_<feature>`, `val_S_joint`, `val_F_<feature>`, `val_F_joint` into `logs`, so that callbacks
    after it in the list (EarlyStopping, ModelCheckpoint, CSVLogger, TensorBoard) can use them; give those
    `mode="max"`. Between two measurements of F the previous one is repeated.
    S is averaged over the samples where it is defined, F over those whose path reached the boundary within
    `MOST_STEPS` steps. With F come the signed effects, `val_effect_<feature>`: the mean change of the score,
    in logits, per standard deviation of the feature over the samples.

    With `log_dir`, TensorBoard shows S and F as scalars, compared with chance, as histograms and in pictures
    of a few samples: see `AlignmentSummaries`. The runs are `log_dir`/train and `log_dir`/validation; give
    Keras's TensorBoard callback another folder.

    Args:
        validation: (images, masks), (images, masks, spacing), or a dictionary with the keys image, optionally
            mask and spacing, and other inputs of the classifier; arrays as for `explain`.
        training: in the same form, a few samples on which F is measured as well, for `F_<feature>` and
            `F_joint` in `logs`.
        features: list of `Feature`; those of the `AlignmentModel` by default.
        pointwise_every: epochs between two measurements of S, which is also measured with F. In other epochs
            `logs` keeps the S of the model's own validation (that of an `AlignmentModel` with validation
            data), or else repeats the previous measurement.
        flow_every: epochs between two measurements of F; the first and the last epoch and epochs with
            pictures always have one.
        flow_samples: largest number of samples on which F is measured: the first ones, the same every time.
        support: "mask" or "image".
        batch_size: samples in memory at once.
        input: as for `AlignmentModel`.
        log_dir: folder for TensorBoard, or None.
        summaries: what to write for TensorBoard and where, instead of `log_dir`.

    Example:
        >>> model.fit(dataset, callbacks=[AlignmentCallback((images, masks), log_dir="logs")])
    """

    def __init__(
        self,
        validation: Any,
        *,
        training: Any = None,
        features: Sequence[Feature] | None = None,
        pointwise_every: int = 1,
        flow_every: int = 5,
        flow_samples: int = 16,
        support: str = "mask",
        batch_size: int = 16,
        input: str | None = None,
        log_dir: str | Path | None = None,
        summaries: AlignmentSummaries | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("pointwise_every", pointwise_every),
            ("flow_every", flow_every),
            ("flow_samples", flow_samples),
            ("batch_size", batch_size),
        ):
            if value < 1:
                raise ModelError(f"AlignmentCallback needs {name} >= 1. Received: {name}={value!r}.")
        if log_dir is not None and summaries is not None:
            raise ModelError("AlignmentCallback takes log_dir or summaries. Received: both.")
        samples = functools.partial(AlignmentSamples, key=input, watched=flow_samples, batch_size=batch_size)
        self._validation = samples(validation, patient_id=None if summaries is None else summaries.patient_id)
        self._training = None if training is None else samples(training)
        self._input, self._features = input, features
        self._pointwise_every = pointwise_every
        self._flow_every = flow_every
        self._support = support
        self._own_writers: SummaryWriters | None = None
        self._summaries = summaries
        if log_dir is not None:
            self._own_writers = SummaryWriters(log_dir)
            self._summaries = AlignmentSummaries(self._own_writers)
        self._pointwise: dict[str, float] = {}
        self._flow: dict[str, float] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Trace the graphs of the measurement once."""
        rewarded = isinstance(self.model, AlignmentModel)
        features = self._features if self._features is not None else getattr(self.model, "features", [])
        features = features_of(features)
        self._names = unique_names(features)
        classifier, others = self.model.classifier if rewarded else self.model, self._validation.specs
        if others or self._input is not None:
            classifier = Network(classifier, key=self._input or IMAGE, names=list(others))
        null_draws = self._summaries.null_draws if self._summaries is not None else 0
        self._measure = AlignmentMeasure(
            classifier,
            features,
            self._validation.images.shape[1:],
            others=list(others.values()),
            support=self._support,
            mask_input=rewarded,
            evaluation=measured_evaluation(self.model),
            flow=Flow(max_steps=MOST_STEPS),
            nulls=bool(null_draws),
        )
        self._pointwise, self._flow = {}, {}
        if self._summaries is not None:
            self._summaries.begin(self._names)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measure, and put the results into `logs`."""
        logs = {} if logs is None else logs
        last = epoch + 1 == self.params.get("epochs")
        pictures = self._summaries is not None and self._summaries.wants_pictures(epoch, last=last)
        if epoch % self._flow_every == 0 or last or pictures:
            self._measure_all(epoch, pictures)
            logs |= self._pointwise
        elif epoch % self._pointwise_every == 0:
            self._pointwise = self._by_name("val_S", self._validation.pointwise(self._measure).mean())
            logs |= self._pointwise
        else:
            logs |= {key: value for key, value in self._pointwise.items() if key not in logs}
        logs |= self._flow
        if self._own_writers is not None:
            keys = [f"{kind}_{name}" for kind in "SF" for name in [*self._names, "joint"]]
            keys += [f"effect_{name}" for name in self._names]
            alignment = {key: value for key, value in logs.items() if key.removeprefix("val_") in keys}
            write_scalars(self._own_writers, epoch, alignment, self._names)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the TensorBoard files."""
        if self._own_writers is not None:
            self._own_writers.close()

    def _measure_all(self, epoch: int, pictures: bool) -> None:
        draws = self._summaries.draws() if self._summaries is not None else None
        values = self._validation.measured(self._measure, draws)
        self._pointwise = self._by_name("val_S", values.S.mean())
        self._flow = self._by_name("val_F", values.F.mean())
        self._flow |= self._by_name("val_effect", values.mean_effect())
        if self._training is not None:
            self._flow |= self._by_name("F", self._training.along_flow(self._measure).mean())
        if self._summaries is not None:
            self._summaries.write(epoch, self._validation, self._measure, values, pictures=pictures)

    def _by_name(self, prefix: str, means: np.ndarray) -> dict[str, float]:
        # Effects have no joint value.
        return {f"{prefix}_{name}": float(value) for name, value in zip([*self._names, "joint"], means)}
