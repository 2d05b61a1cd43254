"""The base classes of nulls: random features of one kind, drawn patient by patient."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras.nulls.boxed import BoxedGradients, FieldShares

# Most draws in memory at once, and most pixels of them in total.
DRAWS_TOGETHER = 50
PIXELS_TOGETHER = 1 << 20


@dataclass(frozen=True)
class NullShares:
    """Shares of null features in N patients.

    Attributes:
        S, F: (N, n, m + 1); the last column is the joint share of m null fields. F is None if no paths were
            followed.
        resample: (N, n'), for each patient the draws that make up the draws of the cohort, or None where draw
            j of the cohort is draw j of every patient.
        partial: (N, n, m), partial shares, NaN where the patient has none; None if the null has no such.
    """

    S: np.ndarray
    F: np.ndarray | None
    resample: np.ndarray | None = None
    partial: np.ndarray | None = None

    def of_cohort(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """The shares of each draw of the cohort, averaged over some patients, (n or n', columns).

        Args:
            kind: "S", "F" or "partial".
            rows: of the patients.
        """
        return self._over_patients(getattr(self, kind)[rows], rows)

    def magnitude_of_cohort(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """The root of the joint S or F of each draw, averaged over some patients, (n or n',)."""
        return self._over_patients(np.sqrt(getattr(self, kind)[rows, :, -1:]), rows)[:, 0]

    def _over_patients(self, draws: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if self.resample is not None:
            draws = np.take_along_axis(draws, self.resample[rows][..., np.newaxis], axis=1)
        return np.asarray(draws.mean(axis=0, dtype=np.float64))


class Null(ABC):
    """Random features of one kind, drawn patient by patient.

    Args:
        draws: n, per patient.
        seed: function of (patient id, portion) to (2,) int32, different for each pair.
        length: correlation length of the kind "smooth", px; 0 for other kinds.
    """

    def __init__(self, draws: int, seed: Callable[[str, int], np.ndarray], length: float = 0.0) -> None:
        self.draws, self.seed, self.length = draws, seed, length
        self._shares: list[FieldShares | tuple[np.ndarray, np.ndarray]] = []

    @abstractmethod
    def shares(self, patient: str, gradients: BoxedGradients) -> FieldShares | tuple[np.ndarray, np.ndarray]:
        """The shares of the draws for a patient; S and F alone if the null has no partial shares."""

    def add(self, patient: str, gradients: BoxedGradients) -> None:
        """Draw for a patient."""
        self._shares.append(self.shares(patient, gradients))

    def finish(self) -> NullShares:
        """The shares of all draws for the patients so far."""
        S, F, *partial = (stacked(values) for values in zip(*self._shares))
        return NullShares(S, F, partial=partial[0] if partial else None)


def stacked(patients: Sequence[Any]) -> Any:
    """The shares of patients as one float32 array; None if they have none."""
    return None if patients[0] is None else np.stack(patients).astype(np.float32)


class RandomFields(Null):
    """Random fields inside the box around the tumour, in place of the gradients of the features."""

    @abstractmethod
    def fields(self, gradients: BoxedGradients, count: int, seed: np.ndarray) -> tf.Tensor:
        """Draws of m fields each; the caller restricts them to the mask.

        Args:
            gradients: of the patient.
            count: number of draws.
            seed: (2,) int32.

        Returns:
            (count, m, *edges, C) float32.
        """

    def pixels(self, gradients: BoxedGradients) -> float:
        """Number of pixels that one draw takes in memory."""
        return gradients.features.size

    def shares(self, patient: str, gradients: BoxedGradients) -> FieldShares:
        """See `Null.shares`; in whole portions, so that the first draws do not depend on their number."""
        count = min(DRAWS_TOGETHER, max(1, int(PIXELS_TOGETHER // self.pixels(gradients))))
        portions = [
            gradients.shares(self.fields(gradients, count, self.seed(patient, portion)))
            for portion in range(-(-self.draws // count))
        ]
        return FieldShares.together(portions, self.draws)
