"""The null that replaces a patient's feature gradients by those of other patients."""

from collections.abc import Callable

import numpy as np

from fgf_keras.errors import DataError
from fgf_keras.nulls.boxed import BoxedGradients, FieldShares
from fgf_keras.nulls.null import DRAWS_TOGETHER, Null, NullShares, stacked


class Permutation(Null):
    """The feature gradients of other patients, moved into the frame of each, see `moved_fields`.

    The m gradients of each patient and the directions they are compared with stay in memory until `finish`,
    restricted to the mask.

    Raises:
        DataError: raised by `finish` if there is only one patient.
    """

    def __init__(self, draws: int, seed: Callable[[str, int], np.ndarray], length: float = 0.0) -> None:
        super().__init__(draws, seed, length)
        self._patients: list[tuple[str, BoxedGradients]] = []

    def add(self, patient: str, gradients: BoxedGradients) -> None:
        """See `Null.add`."""
        self._patients.append((patient, gradients))

    def shares(self, patient: str, gradients: BoxedGradients) -> FieldShares:
        """The shares of the gradients of up to n other patients, in random order."""
        return self._drawn(patient, gradients)[0]

    def finish(self) -> NullShares:
        """See `Null.finish`."""
        if len(self._patients) == 1:
            raise DataError("The permutation null needs other patients. Received: one sample.")
        shares, resample = zip(*(self._drawn(*patient) for patient in self._patients))
        S, F, partial = (stacked(values) for values in zip(*shares))
        return NullShares(S, F, np.stack(resample), partial)

    def _drawn(self, patient: str, gradients: BoxedGradients) -> tuple[FieldShares, np.ndarray]:
        rng = np.random.default_rng(self.seed(patient, 0).view(np.uint32).tolist())
        others = [other for _, other in self._patients if other is not gradients]
        order = rng.permutation(len(others))[: self.draws]
        portions = np.split(order, range(DRAWS_TOGETHER, len(order), DRAWS_TOGETHER))
        shares = [gradients.moved_shares([others[j] for j in portion]) for portion in portions]
        return FieldShares.together(shares), rng.integers(0, len(order), self.draws)
