"""What TensorBoard shows of alignment beside its means over epochs."""

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
    """Writes what an `AlignmentCallback` measures, into the run "validation".

    The layout of the page "Custom Scalars"; S and F of the watched samples, the same in every epoch, beside
    the 5 and 95 % of smooth random features in the same samples (watched/…); histograms over samples
    (per_patient/…); pictures of the first few (patients/…); with labels of two classes, the curve of
    precision and recall.

    Args:
        writers: of the runs.
        patient_id: (N,) names of the samples, for pictures; their numbers by default.
        labels: (N,) in {0, 1}, of the samples.
        null_draws: random features a watched sample, at least 20, or 0 for none.
        correlation_length: of these, px; see `nulls.fields.smooth_fields`.
        seed: of these.
        pictures_every: epochs between two pictures of a patient, with one of the last epoch; 0 for none.
        pictures: of how many samples, the first of those watched.

    Raises:
        ModelError: a number below its least.
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
        """Write what is known before training.

        Args:
            names: of the features.
        """
        self._names = list(names)
        with self.writers.run("validation", 0):
            write_layout(self._names, watched=True, null=bool(self.null_draws))
        self.writers.flush()

    def draws(self) -> NullDraws | None:
        """For a measurement: null features, the same each time; None where there are none."""
        return NullDraws(self._null) if self.null_draws else None

    def wants_pictures(self, epoch: int, *, last: bool) -> bool:
        """Whether there are pictures of this epoch, which come with a measurement."""
        return bool(self._pictures_every) and (last or epoch % self._pictures_every == 0)

    def write(
        self,
        epoch: int,
        samples: AlignmentSamples,
        measure: AlignmentMeasure,
        found: Measured,
        *,
        pictures: bool,
    ) -> None:
        """Write a measurement.

        Args:
            epoch: of it.
            samples: that were measured.
            measure: that they were measured with.
            found: the results.
            pictures: whether to draw the first few samples.
        """
        with self.writers.run("validation", epoch):
            self._watched(found)
            self._histograms(found)
            self._precision_and_recall(found)
            if pictures:
                self._patients(epoch, samples, measure, found)
        self.writers.flush()

    def _watched(self, found):
        for kind in "SF":
            rows = {WATCHED: found.watched_mean(kind)}
            if found.null is not None:
                rows |= dict(zip(BAND, found.null_band(kind)))
            for tag, values in rows.items():
                for name, value in zip([*self._names, "joint"], values):
                    tf.summary.scalar(tag.format(kind=kind, name=name), value)

    def _histograms(self, found):
        for kind, shares in (("S", found.S), ("F", found.F)):
            for i, name in enumerate([*self._names, "joint"]):
                if shares.defined.any():
                    tf.summary.histogram(f"per_patient/{kind}_{name}", shares.values[shares.defined, i])

    def _precision_and_recall(self, found):
        if self._labels is None or found.logits.shape[1] != 1 or not np.isfinite(found.logits).all():
            return
        content = pr_curve.pb("precision_and_recall", self._labels == 1, expit(found.logits[:, 0]))
        tf.summary.experimental.write_raw_pb(content.SerializeToString())

    def _patients(self, epoch, samples, measure, found):
        # Late: only pictures need their libraries.
        from fgf_keras.pictures.panels import patient_panels
        from fgf_keras.pictures.training_strip import SCALES, EpochScales, patient_png

        count = min(self._pictures, len(found.F.values))
        image, mask, spacing = samples.tensors(measure, slice(0, count))
        fields = {key: value.numpy() for key, value in measure.fields(image, mask, spacing).items()}
        fields |= {"image": image.numpy(), "mask": mask.numpy()}
        metadata = image_metadata.create_summary_metadata(None, SCALES).SerializeToString()
        for k in range(count):
            S, F = (np.where(s.defined[k], s.values[k], np.nan) for s in (found.S, found.F))
            sample = {key: value[k] for key, value in fields.items()}
            ending = "" if np.isfinite(F[-1]) else "not reached"
            shares = [dict(zip([*self._names, "joint"], values)) for values in (S, F)]
            shown = patient_panels(sample, self._names, *shares, ending, EpochScales)
            width, height, png = patient_png(self._heading(epoch, k, samples, found, S, F), shown)
            tf.summary.write(
                f"patients/{k + 1} {samples.patient_id[k]}",
                tf.constant([str(width), str(height), png]),
                metadata=tf.compat.v1.SummaryMetadata.FromString(metadata),
            )

    def _heading(self, epoch, k, samples, found, S, F):
        from fgf_keras.pictures.panels import shares_caption

        label = "" if self._labels is None else f"label {self._labels[k]}   "
        score = f"logit {found.logits[k, 0]:.2f}   " if found.logits.shape[1] == 1 else ""
        return [
            f"{samples.patient_id[k]}   {label}epoch {epoch}",
            f"{score}joint: {shares_caption(S[-1], F[-1])}",
        ]
