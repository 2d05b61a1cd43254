"""The loop over batches: it measures samples, draws null features and concatenates the results."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from fgf_keras.measure.alignment_measure import Graph
from fgf_keras.nulls.draws import NullDraws

# Fields on the whole canvas, which only pictures of a few samples need; those of all would fill the memory.
_FIELDS = ("boundary",)


class Measure(Protocol):
    """What measures batches, e.g. an `AlignmentMeasure`."""

    def tensors(self, *arrays: np.ndarray) -> Sequence[Any]:
        """The arrays of a batch as the tensors that the graphs of the measure take."""
        ...


def in_batches(
    measure: Measure,
    arrays: Sequence[Any],
    patient_id: np.ndarray,
    functions: Sequence[Graph],
    *,
    batch_size: int,
    draws: NullDraws | None = None,
    advance: Callable[[int], object] | None = None,
) -> dict[str, np.ndarray]:
    """The results of graphs for all samples, as arrays with a leading axis of N by name.

    Args:
        measure: the measure that the graphs belong to.
        arrays: what `Measure.tensors` takes, with a leading axis of N, e.g. images (N, H, W, C), masks
            (N, H, W, 1) and spacings (N, 2). They are sliced, never loaded as a whole.
        patient_id: (N,) names of the samples, on which the draws of null features depend.
        functions: graphs of the measure, all called with the same batch: the gradients that nulls are
            compared with lie in windows as large as the tumours of a batch need.
        batch_size: samples in memory at once.
        draws: receives what the graphs return for nulls; without it that is dropped.
        advance: called with the number of samples after each batch.
    """
    parts = []
    for start in range(0, len(patient_id), batch_size):
        rows = slice(start, start + batch_size)
        tensors = measure.tensors(*(array[rows] for array in arrays))
        values = {key: value for function in functions for key, value in function(*tensors).items()}
        dropped = _FIELDS if draws is not None else (*_FIELDS, "null_")
        part = {key: value.numpy() for key, value in values.items() if not key.startswith(dropped)}
        if draws is not None:
            draws.take(patient_id[rows], part)
        parts.append(part)
        if advance is not None:
            advance(len(tensors[0]))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
