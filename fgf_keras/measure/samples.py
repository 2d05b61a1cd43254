"""Repeated measurements of S and F on the same samples while a classifier changes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from fgf_keras.flow.status import has_flow
from fgf_keras.measure.alignment_measure import AlignmentMeasure, Graph
from fgf_keras.measure.batches import in_batches, sliced
from fgf_keras.measure.effects import standard_deviations
from fgf_keras.measure.inputs import check_samples, spacing_per_sample
from fgf_keras.models.inputs import unpack_inputs
from fgf_keras.models.network import Key
from fgf_keras.nulls.draws import NullDraws
from fgf_keras.nulls.null import NullShares
from fgf_keras.results.bootstrap import known_mean


class Shares(NamedTuple):
    """S or F of N samples.

    Attributes:
        values: (N, m + 1); the last column is the joint share.
        defined: (N,) bool, whether a mean includes them.
    """

    values: np.ndarray
    defined: np.ndarray

    def mean(self) -> np.ndarray:
        """The mean (m + 1,) over the samples where the shares are defined; NaN if there are none."""
        return self.values[self.defined].mean(axis=0) if self.defined.any() else self.values[0] * np.nan


class Measured(NamedTuple):
    """The result of `AlignmentSamples.measured`.

    Attributes:
        S: of all samples.
        F: of the watched samples, which come first; defined for those whose path ended on the boundary.
        logits: (N, 1 or K) of all samples.
        effect: (N, m), the slope of the score along each feature times the standard deviation of the feature
            over all samples; NaN for a feature that does not vary.
        null: `NullShares` of smooth fields in the watched samples; None if none were drawn.
    """

    S: Shares
    F: Shares
    logits: np.ndarray
    effect: np.ndarray
    null: NullShares | None

    def null_band(self, kind: str) -> np.ndarray:
        """(2, m + 1): 5 and 95 % quantiles of the mean of null fields over the watched, defined samples."""
        shares = self.S if kind == "S" else self.F
        rows = np.flatnonzero(shares.defined[: len(self.F.values)])
        if self.null is None or not len(rows):
            return np.full((2, shares.values.shape[1]), np.nan)
        return np.quantile(self.null.of_cohort(kind, rows), [0.05, 0.95], axis=0)

    def mean_effect(self) -> np.ndarray:
        """(m,): the mean effect of each feature over the samples where it is defined."""
        return known_mean(self.effect)

    def watched_mean(self, kind: str) -> np.ndarray:
        """(m + 1,): the mean of S or F over the samples of the band."""
        count = len(self.F.values)
        return (Shares(*(a[:count] for a in self.S)) if kind == "S" else self.F).mean()


class AlignmentSamples:
    """Samples to measure while a classifier changes.

    Args:
        inputs: (images, masks), (images, masks, spacing), or a dictionary; arrays as for `explain`.
        key: of the differentiated input in a dictionary; by default "image".
        patient_id: (N,) names of the samples; their numbers by default.
        watched: number of samples, counted from the first, that are measured along the flow.
        batch_size: samples in memory at once.

    Raises:
        DataError: shapes that do not fit, pixels that are not finite, masks that are empty or not 0/1.
    """

    def __init__(
        self,
        inputs: Any,
        *,
        key: Key | None = None,
        patient_id: Sequence[str] | np.ndarray | None = None,
        watched: int,
        batch_size: int,
    ) -> None:
        batch = unpack_inputs(inputs, key)
        self.images, self.masks = np.asarray(batch.image), np.asarray(batch.mask)
        self.others = {name: np.asarray(other) for name, other in batch.others.items()}
        self.specs = batch.specs()
        count = len(self.images)
        self.patient_id = np.arange(count).astype(str) if patient_id is None else np.asarray(patient_id)
        noun = "sample" if patient_id is None else "patient"
        check_samples(self.patient_id, self.images, self.masks, noun)
        self.spacing = spacing_per_sample(batch.spacing, count, self.images.ndim - 2)
        self._watched = min(watched, count)
        self._batch_size = batch_size

    def __len__(self) -> int:
        return len(self.images)

    def pointwise(self, measure: AlignmentMeasure) -> Shares:
        """S of all samples."""
        return _pointwise(self._of(measure, slice(0, len(self)), (measure.at_sample,)))

    def along_flow(self, measure: AlignmentMeasure) -> Shares:
        """F of the watched samples."""
        return _along_flow(self._of(measure, slice(0, self._watched), (measure.along_flow,)))

    def measured(self, measure: AlignmentMeasure, draws: NullDraws | None = None) -> Measured:
        """S of all samples and F of the watched ones, and null features drawn for the watched ones.

        Args:
            measure: created with `nulls` if null features are drawn.
            draws: of the null "smooth".
        """
        both = (measure.at_sample, measure.along_flow)
        values = self._of(measure, slice(0, self._watched), both, draws)
        parts = [values]
        if len(self) > self._watched:
            parts.append(self._of(measure, slice(self._watched, len(self)), (measure.at_sample,)))
        whole = {key: np.concatenate([part[key] for part in parts]) for key in parts[-1]}
        null = draws.finish()["smooth"] if draws is not None else None
        effect = whole["slope"] * standard_deviations(whole["value"])
        return Measured(_pointwise(whole), _along_flow(values), whole["logits"], effect, null)

    def tensors(self, measure: AlignmentMeasure, rows: slice) -> list[tf.Tensor]:
        """Image, mask and spacing of some samples, in the form that a measure takes."""
        return measure.tensors(*self._arrays(rows))

    def _arrays(self, rows: slice) -> list[np.ndarray]:
        arrays = self.images, self.masks, self.spacing, *self.others.values()
        return [array[rows] for array in arrays]

    def _of(
        self,
        measure: AlignmentMeasure,
        rows: slice,
        functions: Sequence[Graph],
        draws: NullDraws | None = None,
    ) -> dict[str, np.ndarray]:
        arrays = self._arrays(rows)
        batches = sliced(measure, arrays, self.patient_id[rows], self._batch_size)
        return in_batches(batches, functions, draws=draws)


def _pointwise(values: Mapping[str, np.ndarray]) -> Shares:
    return Shares(_with_joint(values["S"], values["S_joint"]), ~np.isnan(values["S_joint"]))


def _along_flow(values: Mapping[str, np.ndarray]) -> Shares:
    reached = has_flow(values["status"], values["F_joint_arc"])
    return Shares(_with_joint(values["F_arc"], values["F_joint_arc"]), reached)


def _with_joint(single: np.ndarray, joint: np.ndarray) -> np.ndarray:
    return np.concatenate([single, joint[:, np.newaxis]], axis=1)
