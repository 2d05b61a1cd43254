"""Gradients that were computed elsewhere, as arrays that are checked and sliced batch by batch."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fgf_keras.data.slices import listing
from fgf_keras.errors import DataError
from fgf_keras.features.base import Feature, unique_names
from fgf_keras.measure.inputs import check_unique, everywhere

MOST_SPATIAL_AXES = 3
# How arrays of gradients are laid out, for messages.
_LAYOUT = "(samples, *spatial, channels) with 0 to 3 spatial axes"


class Stack:
    """Arrays (N, …) as one (N, m, …), of which only the rows asked for are loaded.

    Args:
        arrays: m arrays of one shape.
    """

    def __init__(self, arrays: Sequence[Any]) -> None:
        self._arrays = arrays
        count, *shape = arrays[0].shape
        self.shape = (count, len(arrays), *shape)

    def __getitem__(self, rows: slice) -> np.ndarray:
        return np.stack([np.asarray(array[rows]) for array in self._arrays], axis=1)


class GradientArrays(NamedTuple):
    """Gradients of N samples, see `alignment`.

    Attributes:
        score: (N, K, *shape), or (N, *shape) of a single score.
        features: (N, m, *shape).
        mask: (N, *spatial, 1).
        names: of the m features.
        shape: (*spatial, C).
        outputs: K, number of scores; 1 for a single one.
    """

    score: Any
    features: Any
    mask: Any
    names: list[str]
    shape: tuple[int, ...]
    outputs: int

    @classmethod
    def of(cls, score: Any, features: Any, mask: Any, names: Sequence[str] | None) -> "GradientArrays":
        """The arrays that were passed to `alignment`, whose shapes fit together.

        Raises:
            DataError: shapes that do not fit together.
            FeatureError: no features, or names that cannot be used.
        """
        score = sliceable(score, "score_gradients")
        stack, names = _features(features, names)
        shape = stack.shape[2:]
        if len(shape) - 1 not in range(MOST_SPATIAL_AXES + 1):
            raise DataError(
                "feature_gradients must be an array (samples, features, *spatial, channels) with 0 to 3 "
                f"spatial axes, or a dict of arrays {_LAYOUT}. Received: shape {tuple(stack.shape)}."
            )
        several = score.ndim == len(shape) + 2
        if tuple(score.shape[2 if several else 1 :]) != shape or score.ndim not in (
            len(shape) + 1,
            len(shape) + 2,
        ):
            raise DataError(
                f"score_gradients must have shape (samples, {_listed(shape)}), or (samples, classes, "
                f"{_listed(shape)}) for the logits of several classes, like feature_gradients "
                f"{tuple(stack.shape)}. Received: shape {tuple(score.shape)}."
            )
        count = score.shape[0]
        mask = _mask(mask, count, shape)
        for name, array in (("feature_gradients", stack), ("mask", mask)):
            if array.shape[0] != count:
                raise DataError(
                    f"The first axes must be the samples of score_gradients, {count}. {name} has "
                    f"{array.shape[0]}."
                )
        if not count:
            raise DataError("At least one sample is needed. Received: none.")
        return cls(score, stack, mask, names, shape, score.shape[1] if several else 1)


def sliceable(array: Any, what: str) -> Any:
    """An array whose rows can be loaded one batch at a time, as it is; anything else as a NumPy array.

    Raises:
        DataError: something that is not an array.
    """
    if hasattr(array, "ndim") and hasattr(array, "__array__") and not hasattr(array, "iloc"):
        return array
    try:
        return np.asarray(array)
    except ValueError as error:
        raise DataError(f"{what} cannot be made an array: {error}.") from error


def numbers(array: Any, what: str, ids: np.ndarray) -> np.ndarray:
    """The rows of a batch as real numbers.

    Args:
        array: (b, …).
        what: the name of the array, for messages.
        ids: (b,) names of the samples.

    Raises:
        DataError: entries that are not numbers, or not finite; the message names the samples.
    """
    values = np.asarray(array)
    if values.dtype.kind not in "fiub":
        raise DataError(f"{what} must be real numbers. Received: entries of type {values.dtype}.")
    broken = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if broken.any():
        raise DataError(
            f"{what} must be finite. NaN or infinite in samples: {listing(ids[broken])}. Drop these samples, "
            "or see why the numbers overflow."
        )
    return values


def check_mask(mask: np.ndarray, ids: np.ndarray) -> None:
    """Refuse masks of a batch that mark nothing, or hold other values than 0 and 1.

    Args:
        mask: (b, *spatial, 1).
        ids: (b,) names of the samples.

    Raises:
        DataError: the message names the samples.
    """
    flat = mask.reshape(len(mask), -1)
    other = ((flat != 0) & (flat != 1)).any(axis=1)
    if other.any():
        raise DataError(
            f"mask must hold 0 and 1 only. Other values in samples: {listing(ids[other])}. Use mask > 0 if "
            "it counts regions, mask > 0.5 if it is a fraction."
        )
    empty = ~flat.any(axis=1)
    if empty.any():
        raise DataError(
            f"mask must mark at least one place. Empty in samples: {listing(ids[empty])}. Drop these "
            "samples, or pass mask=None to compare gradients everywhere."
        )


def sample_names(sample_id: Any, count: int) -> np.ndarray:
    """Names of N samples; their numbers by default.

    Raises:
        DataError: another number of names, or a name twice.
    """
    ids = np.arange(count).astype(str) if sample_id is None else np.asarray(sample_id).astype(str)
    if ids.shape != (count,):
        raise DataError(f"sample_id must name {count} samples. Received: shape {ids.shape}.")
    check_unique(ids, "sample_id")
    return ids


def logits_of_samples(scores: Any, count: int, outputs: int, ids: np.ndarray) -> np.ndarray | None:
    """Logits (N, K) of the samples; None if they were not given.

    Raises:
        DataError: another shape than that of the gradients, numbers that are not finite, or no scores for
            more than two classes.
    """
    if scores is None:
        if outputs > 2:
            raise DataError(
                f"score_gradients have as many axes as feature_gradients, so they are those of {outputs} "
                "classes, for which scores are needed: the logits (samples, classes) tell between which two "
                "classes the decision of each sample lies. Pass scores=logits."
            )
        return None
    logits = numbers(scores, "scores", ids) if np.shape(scores)[:1] == (count,) else np.asarray(scores)
    if logits.shape not in ({(count,), (count, 1)} if outputs == 1 else {(count, outputs)}):
        expected = f"({count},)" if outputs == 1 else f"({count}, {outputs})"
        raise DataError(
            f"scores must be the logits whose gradients are given, of shape {expected}. Received: shape "
            f"{logits.shape}."
        )
    return logits.reshape(count, outputs).astype(np.float64)


def values_of_features(values: Any, count: int, names: Sequence[str]) -> np.ndarray | None:
    """Values (N, m) of the features; None if they were not given.

    Raises:
        DataError: a feature without values, or another shape.
    """
    if values is None:
        return None
    if isinstance(values, Mapping):
        missing = [name for name in names if name not in values]
        if missing:
            raise DataError(f"values must hold every feature. Missing: {listing(missing)}.")
        values = np.stack([np.asarray(values[name]) for name in names], axis=-1)
    array = np.asarray(values, np.float64)
    if array.shape != (count, len(names)):
        raise DataError(
            f"values must be those of {len(names)} feature(s) at {count} samples, of shape "
            f"({count}, {len(names)}). Received: shape {array.shape}."
        )
    return array


def _features(features: Any, names: Sequence[str] | None) -> tuple[Any, list[str]]:
    """The gradients of features as one sliceable array (N, m, …), and their names."""
    if isinstance(features, Mapping):
        if names is not None:
            raise DataError("feature_names are the keys of feature_gradients. Pass one or the other.")
        names = [*features] or unique_names([])
        arrays = [sliceable(array, f"feature_gradients[{name!r}]") for name, array in features.items()]
        shapes = {name: tuple(array.shape) for name, array in zip(names, arrays)}
        if len({*shapes.values()}) > 1:
            received = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise DataError(f"feature_gradients must have one shape, {_LAYOUT}. Received: {received}.")
        stack: Any = Stack(arrays)
    else:
        stack = sliceable(features, "feature_gradients")
    if len(stack.shape) < 3:
        # Refused for its shape.
        return stack, []
    names = [f"feature_{i}" for i in range(stack.shape[1])] if names is None else list(names)
    if len(names) != stack.shape[1]:
        raise DataError(
            f"feature_names must name the {stack.shape[1]} features of feature_gradients, of shape "
            f"{tuple(stack.shape)}. Received: {len(names)} names."
        )
    # They become columns of the same tables as the names of features, and obey the same rules.
    return stack, unique_names([Feature(name=name) for name in names])


def _mask(mask: Any, count: int, shape: tuple[int, ...]) -> Any:
    """A mask as it is; by default one that marks everything and takes no memory."""
    if mask is None:
        return everywhere((count, *shape))
    mask = sliceable(mask, "mask")
    if tuple(mask.shape[1:]) != (*shape[:-1], 1):
        raise DataError(
            f"mask must have shape (samples, {_listed((*shape[:-1], 1))}), like the gradients with one "
            f"channel. Received: shape {tuple(mask.shape)}."
        )
    return mask


def _listed(shape: Sequence[int]) -> str:
    return ", ".join(str(size) for size in shape)
