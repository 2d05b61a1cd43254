"""Alignment in TensorBoard: comparison with chance, histograms, pictures, precision and recall."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from scipy.special import expit
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.pr_curve import summary as pr_curve

from fgf_keras.config.train import LEAST_DRAWS
from fgf_keras.errors import ModelError
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.measure.samples import AlignmentSamples, Measured
from fgf_keras.nulls.draws import NullDraws
from fgf_keras.nulls.settings import Nulls
from fgf_keras.training.tensorboard.layout import BAND, WATCHED, write_layout
from fgf_keras.training.tensorboard.writers import SummaryWriters


class AlignmentSummaries:
    """Writes the measurements of an `AlignmentCallback` into the run "validation".

    It writes the layout of the page "Custom Scalars"; S and F of the watched samples, the same in every
    epoch, with the 5 and 95 % quantiles of smooth random features in the same samples (watched/…); histograms
    over samples (per_patient/…); pictures of the first few (patients/…); with labels of two classes, the
    precision-recall curve.

    Args:
        writers: of the runs.
        patient_id: (N,) names of the samples, for pictures; their numbers by default.
        labels: (N,) in {0, 1}, of the samples.
        null_draws: number of random features per watched sample, at least 20, or 0 for none.
        correlation_length: of the random features, px; see `nulls.fields.smooth_fields`.
        seed: of the random features.
        pictures_every: epochs between two pictures of a patient, besides that of the last epoch; 0 for none.
        pictures: number of samples with pictures, the first of those watched.

    Raises:
        ModelError: a number below its minimum.
    """

    def __init__(
        self,
        writers: SummaryWriters,
        *,
        patient_id: Sequence[str] | np.ndarray | None = None,
        labels: np.ndarray | None = None,
        null_draws: int = 50,
        correlation_length: float = 3.0,
        seed: int = 0,
        pictures_every: int = 10,
        pictures: int = 4,
    ) -> None:
        if null_draws and null_draws < LEAST_DRAWS:
            raise ModelError(
                f"AlignmentSummaries needs null_draws >= {LEAST_DRAWS}, or 0. Received: {null_draws!r}."
            )
        if pictures_every < 0 or pictures < 1:
            raise ModelError(
                "AlignmentSummaries needs pictures_every >= 0 and pictures >= 1. "
                f"Received: pictures_every={pictures_every!r}, pictures={pictures!r}."
            )
        self.writers = writers
        self.patient_id = patient_id
        self.null_draws = null_draws
        self._labels = None if labels is None else np.asarray(labels)
        self._null = Nulls(kinds="smooth", draws=max(null_draws, 1), lengths=correlation_length, seed=seed)
        self._pictures_every = pictures_every
        self._pictures = pictures

    def begin(self, names: Sequence[str]) -> None:
        """Write the layout, which is known before training.

        Args:
            names: of the features.
        """
        self._names = list(names)
        with self.writers.run("validation", 0):
            write_layout(self._names, watched=True, null=bool(self.null_draws))
        self.writers.flush()

    def draws(self) -> NullDraws | None:
        """New null draws for a measurement, which are the same each time; None without null features."""
        return NullDraws(self._null) if self.null_draws else None

    def wants_pictures(self, epoch: int, *, last: bool) -> bool:
        """Whether this epoch has pictures, which require a measurement."""
        return bool(self._pictures_every) and (last or epoch % self._pictures_every == 0)

    def write(
        self,
        epoch: int,
        samples: AlignmentSamples,
        measure: AlignmentMeasure,
        values: Measured,
        *,
        pictures: bool,
    ) -> None:
        """Write a measurement.

        Args:
            epoch: of the measurement.
            samples: the samples that were measured.
            measure: the measure they were measured with.
            values: the results.
            pictures: whether to draw the first few samples.
        """
        with self.writers.run("validation", epoch):
            self._watched(values)
            self._histograms(values)
            self._precision_and_recall(values)
            if pictures:
                self._patients(epoch, samples, measure, values)
        self.writers.flush()

    def _watched(self, values: Measured) -> None:
        for kind in "SF":
            rows = {WATCHED: values.watched_mean(kind)}
            if values.null is not None:
                rows |= dict(zip(BAND, values.null_band(kind)))
            for tag, row in rows.items():
                for name, value in zip([*self._names, "joint"], row):
                    tf.summary.scalar(tag.format(kind=kind, name=name), value)

    def _histograms(self, values: Measured) -> None:
        for kind, shares in (("S", values.S), ("F", values.F)):
            for i, name in enumerate([*self._names, "joint"]):
                if shares.defined.any():
                    tf.summary.histogram(f"per_patient/{kind}_{name}", shares.values[shares.defined, i])

    def _precision_and_recall(self, values: Measured) -> None:
        if self._labels is None or values.logits.shape[1] != 1 or not np.isfinite(values.logits).all():
            return
        content = pr_curve.pb("precision_and_recall", self._labels == 1, expit(values.logits[:, 0]))
        tf.summary.experimental.write_raw_pb(content.SerializeToString())

    def _patients(
        self, epoch: int, samples: AlignmentSamples, measure: AlignmentMeasure, values: Measured
    ) -> None:
        # Imported here, because only pictures need these libraries.
        from fgf_keras.pictures.panels import patient_panels
        from fgf_keras.pictures.training_strip import SCALES, EpochScales, patient_png

        count = min(self._pictures, len(values.F.values))
        image, mask, spacing, *others = samples.tensors(measure, slice(0, count))
        fields = measure.fields(image, mask, spacing, *others)
        fields = {key: value.numpy() for key, value in fields.items()}
        fields |= {"image": image.numpy(), "mask": mask.numpy(), "spacing": spacing.numpy()}
        metadata = image_metadata.create_summary_metadata(None, SCALES).SerializeToString()
        for k in range(count):
            S, F = (np.where(s.defined[k], s.values[k], np.nan) for s in (values.S, values.F))
            sample = {key: value[k] for key, value in fields.items()}
            ending = "" if np.isfinite(F[-1]) else "not reached"
            S_by_name, F_by_name = (dict(zip([*self._names, "joint"], row)) for row in (S, F))
            panels = patient_panels(sample, self._names, S_by_name, F_by_name, ending, EpochScales)
            width, height, png = patient_png(self._heading(epoch, k, samples, values, S, F), panels)
            tf.summary.write(
                f"patients/{k + 1} {samples.patient_id[k]}",
                tf.constant([str(width), str(height), png]),
                metadata=tf.compat.v1.SummaryMetadata.FromString(metadata),
            )

    def _heading(
        self,
        epoch: int,
        k: int,
        samples: AlignmentSamples,
        values: Measured,
        S: np.ndarray,
        F: np.ndarray,
    ) -> list[str]:
        from fgf_keras.pictures.panels import shares_caption

        label = "" if self._labels is None else f"label {self._labels[k]}   "
        score = f"logit {values.logits[k, 0]:.2f}   " if values.logits.shape[1] == 1 else ""
        return [
            f"{samples.patient_id[k]}   {label}epoch {epoch}",
            f"{score}joint: {shares_caption(S[-1], F[-1])}",
        ]
