"""Samples to measure, from arrays or from batches: never more of them in memory than a batch needs."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from fgf_keras.data.slices import listing
from fgf_keras.errors import DataError
from fgf_keras.measure.inputs import (
    check_lengths,
    check_others,
    check_rank,
    check_samples,
    check_unique,
    everywhere,
    indexable,
    rows_of,
    spacing_per_sample,
)
from fgf_keras.models.network import Key
from fgf_keras.models.score import Score

# Entries of a batch that are not inputs of the classifier.
_MASK, _SPACING, _ID = "mask", "spacing", "patient_id"


class Batch(NamedTuple):
    """Some samples.

    Attributes:
        image: (B, …, C).
        mask: (B, …, 1).
        spacing: (B, s) mm.
        others: arrays (B, …), the other inputs of the classifier.
        ids: (B,) names of the samples.
    """

    image: np.ndarray
    mask: np.ndarray
    spacing: np.ndarray
    others: tuple[np.ndarray, ...]
    ids: np.ndarray

    def select(self, rows: slice) -> "Batch":
        """Some of the samples."""
        others = tuple(array[rows] for array in self.others)
        return Batch(self.image[rows], self.mask[rows], self.spacing[rows], others, self.ids[rows])


class Source(Protocol):
    """Samples with the inputs of a classifier.

    Attributes:
        key: of the differentiated input, see `Score.separated`.
        image: shape and type of a batch of it, the leading axis None.
        others: the same of the other inputs, by key.
        columns: names of the columns of a table, None without names.
        count: number of samples; None if it is not known.
    """

    key: Key | None
    image: tf.TensorSpec
    others: dict[Key, tf.TensorSpec]
    columns: tuple[str, ...] | None
    count: int | None

    def batches(self, size: int) -> Iterator[Batch]:
        """All samples in batches."""

    def first(self, count: int) -> Batch:
        """The first samples, at most `count` of them."""

    def select(self, rows: slice | np.ndarray) -> Batch:
        """Some samples by number."""


def source_of(
    score: Score,
    images: Any,
    masks: Any,
    spacing: Any,
    patient_id: Any,
    check: Callable[[np.ndarray, np.ndarray, np.ndarray], object],
) -> Source:
    """The samples in what `explain` is given; see there.

    Args:
        score: names the differentiated input.
        images, masks, spacing, patient_id: as for `explain`.
        check: of ids, images and masks of a batch, beyond `check_samples`.

    Raises:
        DataError: samples that cannot be measured.
    """
    if _is_stream(images):
        extra = {"masks": masks, "spacing": spacing, "patient_id": patient_id}
        for name, value in extra.items():
            if value is not None:
                raise DataError(
                    f"{name} must be None if images are batches: their elements are dictionaries with the "
                    f"inputs of the classifier and the keys {_MASK!r}, {_SPACING!r} and {_ID!r} where needed."
                )
        return _Stream(score, images, check)
    return _Arrays(score, images, masks, spacing, patient_id, check)


class _Arrays:
    """Samples in arrays: NumPy, zarr, memory maps, or anything else with a shape that can be sliced."""

    def __init__(
        self,
        score: Score,
        images: Any,
        masks: Any,
        spacing: Any,
        patient_id: Any,
        check: Callable[..., object],
    ) -> None:
        key, image, others = score.separated(images)
        self.columns = tuple(map(str, image.columns)) if isinstance(image, pd.DataFrame) else None
        self.key, self._image = key, indexable(image)
        self._others = {name: indexable(array) for name, array in others.items()}
        self._mask = None if masks is None else indexable(masks)
        check_rank(self._image.shape)
        self.count = self._image.shape[0]
        self._noun = "sample" if patient_id is None else "patient"
        if patient_id is None and isinstance(image, pd.DataFrame):
            patient_id = image.index
        self._ids = (
            np.arange(self.count).astype(str) if patient_id is None else np.asarray(patient_id).astype(str)
        )
        self._check_lengths()
        self._spacing = spacing_per_sample(spacing, self.count, len(self._image.shape) - 2)
        self._check = check
        self.image = _spec(self._image)
        self.others = {name: _spec(array) for name, array in self._others.items()}
        self._checked = False
        if all(_is_in_memory(array) for array in (self._image, self._mask, *self._others.values())):
            # It is checked as a whole, before anything is computed.
            self.select(slice(None))
            self._checked = True

    def batches(self, size: int) -> Iterator[Batch]:
        """See `Source.batches`."""
        for start in range(0, self.count, size):
            yield self.select(slice(start, start + size))

    def first(self, count: int) -> Batch:
        """See `Source.first`."""
        return self.select(slice(0, count))

    def select(self, rows: slice | np.ndarray) -> Batch:
        """See `Source.select`."""
        image = rows_of(self._image, rows)
        mask = everywhere(image.shape) if self._mask is None else rows_of(self._mask, rows)
        ids = self._ids[rows]
        if not self._checked:
            check_samples(ids, image, mask, self._noun)
            self._check(ids, image, mask)
        others = {name: rows_of(array, rows) for name, array in self._others.items()}
        if not self._checked:
            check_others(ids, others, self._noun)
        return Batch(image, mask, self._spacing[rows], tuple(others.values()), ids)

    def _check_lengths(self) -> None:
        arrays = {"images" if self.key is None else repr(self.key): self._image}
        arrays |= {repr(name): array for name, array in self._others.items()}
        if self._mask is not None:
            arrays["masks"] = self._mask
        if self._noun == "patient":
            arrays["patient_id"] = self._ids
        check_lengths(arrays)
        check_unique(self._ids)


class _Stream:
    """Samples in an iterable of batches, each measured as it comes."""

    def __init__(self, score: Score, images: Any, check: Callable[..., object]) -> None:
        self._score, self._check = score, check
        if isinstance(images, keras.utils.PyDataset):
            if images.num_batches is None:
                raise DataError("A PyDataset without an end cannot be explained: give it num_batches.")
            images = map(images.__getitem__, range(images.num_batches))
        self._iterator = iter(images)
        self.count: int | None = None
        self.columns: tuple[str, ...] | None = None
        try:
            first = next(self._iterator)
        except StopIteration:
            raise DataError("At least one sample is needed. Received: no batches.") from None
        self.key, image, others, mask, *_ = self._parts(first)
        check_rank(image.shape)
        self._masked = mask is not None
        self.image = _spec(image)
        self.others = {name: _spec(array) for name, array in others.items()}
        self._first = first
        self._iterator = itertools.chain([first], self._iterator)

    def batches(self, size: int) -> Iterator[Batch]:
        """See `Source.batches`; batches that are larger than `size` are divided."""
        seen: set[str] = set()
        done = 0
        for element in self._iterator:
            whole = self._batch(element, done)
            done += len(whole.ids)
            again = sorted(seen & set(whole.ids))
            if again:
                raise DataError(f"patient_id must name each sample once. More than once: {listing(again)}.")
            seen |= set(whole.ids)
            for start in range(0, len(whole.ids), size):
                yield whole.select(slice(start, start + size))

    def first(self, count: int) -> Batch:
        """See `Source.first`."""
        return self._batch(self._first, 0).select(slice(0, count))

    def select(self, rows: slice | np.ndarray) -> Batch:
        """See `Source.select`.

        Raises:
            DataError: always: batches are gone once they are measured.
        """
        raise DataError(
            "Samples that came in batches are not kept and cannot be drawn. Give `explain` those to draw "
            "as arrays."
        )

    def _batch(self, element: Any, done: int) -> Batch:
        _, image, others, mask, spacing, ids = self._parts(element)
        first, now = _layout(self.image, self.others, self._masked), _layout(image, others, mask is not None)
        if first != now:
            raise DataError(
                f"All batches must have the same inputs, of one shape. The first: {first}; after {done} "
                f"samples: {now}."
            )
        count = len(image)
        named = ids is not None
        ids = np.arange(done, done + count).astype(str) if ids is None else _text(ids)
        arrays = {"images": image, **{repr(name): other for name, other in others.items()}}
        check_lengths(arrays | ({"patient_id": ids} if named else {}))
        check_unique(ids)
        mask = everywhere(image.shape) if mask is None else mask
        noun = "patient" if named else "sample"
        check_samples(ids, image, mask, noun)
        check_others(ids, others, noun)
        self._check(ids, image, mask)
        others = tuple(others[name] for name in self.others)
        return Batch(image, mask, spacing_per_sample(spacing, count, image.ndim - 2), others, ids)

    def _parts(self, element: Any) -> tuple[Any, ...]:
        # As `fit` takes them: x, (x, y) or (x, y, sample_weight).
        x = element[0] if isinstance(element, tuple) else element
        entries = [None, None, None]
        if isinstance(x, Mapping):
            x = dict(x)
            entries = [x.pop(name, None) for name in (_MASK, _SPACING, _ID)]
        key, image, others = self._score.separated(x)
        return (
            key,
            np.asarray(image),
            {name: np.asarray(array) for name, array in others.items()},
            *(None if entry is None else np.asarray(entry) for entry in entries),
        )


def _is_stream(images: Any) -> bool:
    if isinstance(images, (tf.data.Dataset, keras.utils.PyDataset)):
        return True
    return (
        isinstance(images, Iterable)
        and not isinstance(images, (Sequence, Mapping))
        and not hasattr(images, "shape")
    )


def _is_in_memory(array: Any) -> bool:
    return array is None or (isinstance(array, np.ndarray) and not isinstance(array, np.memmap))


def _layout(image: Any, others: Mapping[Key, Any], masked: bool) -> str:
    """The inputs of a batch in words."""
    shapes = [f"{name!r} {tuple(other.shape[1:])}" for name, other in sorted(others.items())]
    return ", ".join([f"samples {tuple(image.shape[1:])}", *shapes, "with masks" if masked else "no masks"])


def _spec(array: Any) -> tf.TensorSpec:
    dtype = np.asarray(array[:0]).dtype if array.shape else np.dtype(np.float32)
    return tf.TensorSpec([None, *array.shape[1:]], tf.string if dtype.kind in "OUS" else tf.as_dtype(dtype))


def _text(ids: np.ndarray) -> np.ndarray:
    return np.array([i.decode() if isinstance(i, bytes) else str(i) for i in ids])
