"""The draws of all nulls of a measurement, patient by patient."""

import hashlib
from collections.abc import Sequence
from functools import partial

import numpy as np

from fgf_keras.config.named import NULLS, named_class
from fgf_keras.errors import ConfigError
from fgf_keras.nulls.boxed import BoxedGradients
from fgf_keras.nulls.null import Null, NullShares
from fgf_keras.nulls.settings import Nulls


class NullDraws:
    """Draws null features for patients and collects their shares.

    Draws depend on the seed, the null and the patient's id, and lie in the smallest rectangle around the
    patient's mask; they do not depend on batches, windows or other patients.

    Args:
        nulls: which nulls, and how many draws per patient.

    Raises:
        ConfigError: a kind that cannot be imported, or is not a `Null`.
    """

    def __init__(self, nulls: Nulls) -> None:
        self._nulls: dict[str, Null] = {}
        for label, (kind, length) in nulls.labels.items():
            try:
                null = named_class(NULLS, kind, Null)
            except ValueError as error:
                raise ConfigError(f"nulls: {error}.") from error
            name = label if length is None else f"smooth {length!r}"
            self._nulls[label] = null(nulls.draws, partial(_seed, nulls.seed, name), length or 0.0)

    def add(self, patient: str, part: dict[str, np.ndarray], dimension: int) -> None:
        """Draw for one patient; see `BoxedGradients` for the arguments."""
        gradients = BoxedGradients(part, dimension)
        for null in self._nulls.values():
            null.add(patient, gradients)

    def take(self, patients: Sequence[str] | np.ndarray, part: dict[str, np.ndarray]) -> None:
        """Draw for the patients of a batch; the arrays null_… are removed from `part`.

        Args:
            patients: ids.
            part: arrays of `AlignmentMeasure.at_sample` and `.along_flow` for them, from the same batch.
        """
        fields = {key: part.pop(key) for key in list(part) if key.startswith("null_")}
        for i, patient in enumerate(patients if fields else ()):
            self.add(patient, {key: value[i] for key, value in fields.items()}, part["dimension"][i])

    def finish(self) -> dict[str, NullShares]:
        """The shares by label: the name of the null, with its length where there are several."""
        return {label: null.finish() for label, null in self._nulls.items()}


def _seed(seed: int, name: str, patient: str, portion: int) -> np.ndarray:
    digest = hashlib.sha256(f"{seed}/{name}/{portion}/{patient}".encode()).digest()
    return np.frombuffer(digest[:8], np.int32)
