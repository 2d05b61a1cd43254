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
from fgf_keras.measure.inputs import check_samples, spacing_per_sample
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
        self.key, self._image = key, _indexable(image)
        self._others = {name: _indexable(array) for name, array in others.items()}
        self._mask = None if masks is None else _indexable(masks)
        self.count = self._image.shape[0] if self._image.shape else 0
        if patient_id is None and isinstance(image, pd.DataFrame):
            patient_id = image.index
        self._named = patient_id is not None
        self._ids = (
            np.arange(self.count).astype(str) if patient_id is None else np.asarray(patient_id).astype(str)
        )
        self._check_lengths()
        self._spacing = spacing_per_sample(spacing, self.count, len(self._image.shape) - 2)
        self._check = check
        self.image = _spec(self._image)
        self.others = {name: _spec(array) for name, array in self._others.items()}
        self._checked = False
        if isinstance(self._image, np.ndarray) and (masks is None or isinstance(self._mask, np.ndarray)):
            # What is in memory is checked as a whole, before anything is computed.
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
        image = _rows(self._image, rows)
        mask = _everywhere(image) if self._mask is None else _rows(self._mask, rows)
        ids = self._ids[rows]
        if not self._checked:
            check_samples(ids, image, mask, "patient" if self._named else "sample")
            self._check(ids, image, mask)
        others = tuple(_rows(array, rows) for array in self._others.values())
        return Batch(image, mask, self._spacing[rows], others, ids)

    def _check_lengths(self) -> None:
        counts = {"images" if self.key is None else repr(self.key): self.count}
        counts |= {repr(name): array.shape[0] for name, array in self._others.items() if array.shape}
        if self._mask is not None and self._mask.shape:
            counts["masks"] = self._mask.shape[0]
        if self._named:
            counts["patient_id"] = len(self._ids)
        if len(set(counts.values())) > 1:
            lengths = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise DataError(
                f"All inputs need one entry per sample along their first axis. Received: {lengths}. One "
                "sample alone needs a batch axis: x[np.newaxis]."
            )
        if len(set(self._ids)) < self.count:
            names, times = np.unique(self._ids, return_counts=True)
            raise DataError(
                f"patient_id must name each sample once. More than once: {listing(names[times > 1])}."
            )


class _Stream:
    """Samples in an iterable of batches, each measured as it comes."""

    def __init__(self, score: Score, images: Any, check: Callable[..., object]) -> None:
        self._score, self._check = score, check
        if isinstance(images, keras.utils.PyDataset):
            images = (images[i] for i in range(images.num_batches))
        self._iterator = iter(images)
        self.count: int | None = None
        self.columns: tuple[str, ...] | None = None
        try:
            first = next(self._iterator)
        except StopIteration:
            raise DataError("At least one sample is needed. Received: no batches.") from None
        self.key, image, others, *_ = self._parts(first)
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
        if list(image.shape[1:]) != list(self.image.shape[1:]) or list(others) != list(self.others):
            raise DataError(
                "All batches must have samples of one shape. The first: "
                f"{tuple(self.image.shape[1:])}; after {done} samples: {tuple(image.shape[1:])}."
            )
        count = len(image)
        named = ids is not None
        ids = np.arange(done, done + count).astype(str) if ids is None else _text(ids)
        mask = _everywhere(image) if mask is None else mask
        check_samples(ids, image, mask, "patient" if named else "sample")
        self._check(ids, image, mask)
        return Batch(
            image, mask, spacing_per_sample(spacing, count, image.ndim - 2), tuple(others.values()), ids
        )

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


def _indexable(array: Any) -> Any:
    """Arrays that can be sliced without loading them whole are left as they are."""
    if isinstance(array, pd.DataFrame):
        return array.to_numpy(np.float64)
    lazy = hasattr(array, "shape") and hasattr(array, "__getitem__") and not hasattr(array, "numpy")
    return array if lazy else np.asarray(array)


def _rows(array: Any, rows: slice | np.ndarray) -> np.ndarray:
    if isinstance(array, np.ndarray) or isinstance(rows, slice):
        return np.asarray(array[rows])
    # Not every array that can be sliced takes a list of rows.
    return np.stack([np.asarray(array[int(row)]) for row in rows])


def _everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones((*image.shape[:-1], 1), np.float32)


def _spec(array: Any) -> tf.TensorSpec:
    dtype = np.asarray(array[:0]).dtype if array.shape else np.dtype(np.float32)
    return tf.TensorSpec([None, *array.shape[1:]], tf.string if dtype.kind in "OUS" else tf.as_dtype(dtype))


def _text(ids: np.ndarray) -> np.ndarray:
    return np.array([i.decode() if isinstance(i, bytes) else str(i) for i in ids])
