"""The loop over batches: it measures samples, draws null features and concatenates the results."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from fgf_keras.measure.alignment_measure import Graph
from fgf_keras.nulls.draws import NullDraws

# Fields on the whole canvas, which only pictures of a few samples need; those of all would fill the memory.
_FIELDS = ("boundary",)


class Measure(Protocol):
    """What measures batches, e.g. an `AlignmentMeasure`."""

    def tensors(self, *arrays: np.ndarray) -> Sequence[Any]:
        """The arrays of a batch as the tensors that the graphs of the measure take."""
        ...


def sliced(
    measure: Measure, arrays: Sequence[Any], ids: np.ndarray, batch_size: int
) -> Iterator[tuple[np.ndarray, Sequence[Any]]]:
    """The batches that `in_batches` takes, from arrays that are sliced and never loaded as a whole.

    Args:
        measure: makes tensors of them.
        arrays: what `Measure.tensors` takes, with a leading axis of N.
        ids: (N,) names of the samples.
        batch_size: samples in memory at once.
    """
    for start in range(0, len(ids), batch_size):
        rows = slice(start, start + batch_size)
        yield ids[rows], measure.tensors(*(array[rows] for array in arrays))


def in_batches(
    batches: Iterable[tuple[np.ndarray, Sequence[tf.Tensor]]],
    functions: Sequence[Graph],
    *,
    draws: NullDraws | None = None,
    advance: Callable[[int], object] | None = None,
) -> dict[str, np.ndarray]:
    """The results of graphs for all samples, as arrays with a leading axis of N by name.

    Args:
        batches: ids (B,) of the samples, on which the draws of null features depend, and the tensors that the
            graphs take, see `AlignmentMeasure.tensors`.
        functions: graphs of a measure, all called with the same batch: the gradients that nulls are
            compared with lie in windows as large as the tumours of a batch need.
        draws: receives what the graphs return for nulls; without it that is dropped.
        advance: called with the number of samples after each batch.
    """
    parts = []
    for ids, tensors in batches:
        values = {key: value for function in functions for key, value in function(*tensors).items()}
        dropped = _FIELDS if draws is not None else (*_FIELDS, "null_")
        part = {key: value.numpy() for key, value in values.items() if not key.startswith(dropped)}
        if draws is not None:
            draws.take(ids, part)
        parts.append(part)
        if advance is not None:
            advance(len(tensors[0]))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
