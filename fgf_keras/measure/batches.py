"""The one loop of measuring: batches of samples through graphs, null features drawn, arrays put together."""

import numpy as np

# Whole canvases that pictures of a few samples are made of: for all of them they would fill the memory.
_FIELDS = ("boundary",)


def in_batches(measure, arrays, patient_id, functions, *, batch_size, draws=None, advance=None) -> dict:
    """What graphs return for all samples, as arrays with a leading axis of N by name.

    Args:
        measure: an `AlignmentMeasure`.
        arrays: images (N, H, W, C), masks (N, H, W, 1) and spacings (N, 2).
        patient_id: (N,) names of the samples, which null features are drawn by.
        functions: graphs of the measure, all called with the same batch: gradients that nulls are compared
            with lie in windows as large as the tumours of a batch need.
        batch_size: samples in memory at once.
        draws: `NullDraws` that takes what the graphs return for nulls; that is dropped without it.
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
