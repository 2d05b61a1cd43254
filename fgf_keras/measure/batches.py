"""The loop over batches: it measures samples, draws null features and concatenates the results."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from fgf_keras.measure.alignment_measure import Graph
from fgf_keras.nulls.draws import NullDraws

# Fields on the whole canvas, which only pictures of a few samples need; those of all would fill the memory.
_FIELDS = ("boundary",)


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
