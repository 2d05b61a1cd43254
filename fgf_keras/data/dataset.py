"""Batches of a cohort as a `tf.data.Dataset`."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from fgf_keras.config.data import AugmentConfig
from fgf_keras.data.augmentation import rotated, rotations
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.quarter_turns import (
    flipped_axes,
    quarter_turns,
    transposed,
    turn_probability,
    turned_parameters,
)
from fgf_keras.data.tumour_windows import tumour_window
from fgf_keras.data.volume_dataset import volume_elements
from fgf_keras.errors import DataError


def make_dataset(
    cohort: Cohort,
    indices: ArrayLike,
    *,
    batch_size: int,
    seed: int | None = None,
    augment: AugmentConfig | None = None,
    balanced: bool = False,
    training: bool = False,
    windows: bool = False,
) -> tf.data.Dataset:
    """Batches of the patients at `indices`.

    Elements are `({"image": (B, H, W, 1), "mask": (B, H, W, 1), "spacing": (B, 2)}, label)`, float32, with
    the mask in {0, 1}, spacing in mm (row, column) and label (B,) int64; for volumes, image and mask are
    (B, D, H, W, 1), and spacing (B, 3) is that of (slice, row, column). Encoded clinical columns are one more
    entry, "clinical" (B, k) float32. An epoch has ceil(n / batch_size)
    batches.

    Args:
        cohort: the patients; the dataset copies the pixels that it reads.
        indices: (n,) positions in the cohort.
        batch_size: patients per batch; the last batch may be smaller.
        seed: of the order and the augmentation. The same seed gives the same batches in every run; a global
            seed set with `tf.random.set_seed` has an effect as well. None is not reproducible.
        augment: random flips, turns of slices by 90 degrees, and a rotation in mm about the centre of the
            tumour, of volumes in the axial plane. Training only.
        balanced: draw every class equally often: patients of a rare class appear several times per epoch, and
            all batches are full. Training only.
        training: shuffle again in each epoch; False keeps the order of `indices`.
        windows: store and deliver only a window around each tumour, as `AlignmentModel` expects it: image and
            mask are (B, h, w, 1), as large as the largest window of the batch, and zero outside the tumour;
            "origin" (B, 2) int32 is the position of the first pixel on the canvas. A window may extend
            beyond the canvas. Volumes are delivered whole: they are boxes around the tumour already.

    Raises:
        DataError: indices that are empty, not integers or not in the cohort; a batch size below 1; `balanced`
            with a class that has no patient; `augment` or `balanced` without `training`.
    """
    indices = _checked_indices(indices, len(cohort))
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1. Received: batch_size={batch_size}.")
    if (augment or balanced) and not training:
        raise DataError("augment and balanced change what is measured: they need training=True.")
    batches = math.ceil(len(indices) / batch_size)
    if balanced:
        order = _balanced_order(cohort.labels[indices], cohort.class_count, seed).take(batches * batch_size)
    else:
        order = tf.data.Dataset.range(len(indices))
        if training:
            order = order.shuffle(len(indices), seed=seed, reshuffle_each_iteration=True)
    order = order.batch(batch_size)
    if augment is not None:
        draws = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2, drop_remainder=True)
        order = tf.data.Dataset.zip(order, draws)
    if cohort.dimension == 3:
        describe, draw, shapes = volume_elements(cohort, indices, augment)
    else:
        describe, draw, shapes = _patients(cohort, indices, augment, windows=windows)
    # One patient at a time: most windows are much smaller than the largest of their batch.
    dataset = order.map(describe).unbatch()
    dataset = dataset.map(draw, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.padded_batch(batch_size, padded_shapes=(shapes, []))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches)).prefetch(tf.data.AUTOTUNE)
    # Keras releases the iterator of the validation data in every epoch. With autotuning, this waits for the
    # tuning thread, which sleeps for up to a minute, and there is little to tune.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def class_weights(labels: ArrayLike) -> dict[int, float]:
    """n / (K n_k) for each class k: every class has the same weight in the loss, and the mean weight is 1.

    Raises:
        DataError: a class among 0..max(labels) has no patient.
    """
    counts = np.bincount(np.asarray(labels, np.int64))
    if not counts.size or not counts.all():
        raise DataError(
            "Class weights need patients of every class. "
            f"Received: {counts.tolist()} patients of class 0, 1, …."
        )
    return {k: float(counts.sum() / (len(counts) * count)) for k, count in enumerate(counts)}


def _checked_indices(indices: ArrayLike, n: int) -> np.ndarray:
    indices = np.asarray(indices)
    if indices.ndim != 1 or indices.dtype.kind not in "iu" or not len(indices):
        raise DataError(
            "indices must be a list of positions in the cohort, at least one. "
            f"Received: shape {indices.shape} of type {indices.dtype}."
        )
    if indices.min() < 0 or indices.max() >= n:
        raise DataError(
            f"indices must be 0..{n - 1}, positions in a cohort of {n} patients. "
            f"Received: {indices.min()}..{indices.max()}."
        )
    return indices


def _balanced_order(labels: np.ndarray, classes: int, seed: int | None) -> tf.data.Dataset:
    """An endless sequence of rows in which every class is as likely as any other."""
    counts = np.bincount(labels, minlength=classes)
    if not counts.all():
        raise DataError(
            f"Balanced batches need patients of every class. Received: {counts.tolist()} patients of class "
            f"0..{classes - 1}."
        )
    streams = []
    for k in range(classes):
        rows = tf.data.Dataset.from_tensor_slices(np.flatnonzero(labels == k))
        class_seed = None if seed is None else seed + 1 + k
        streams.append(rows.shuffle(counts[k], seed=class_seed, reshuffle_each_iteration=True).repeat())
    return tf.data.Dataset.sample_from_datasets(
        streams, weights=[1 / classes] * classes, seed=seed, rerandomize_each_iteration=True
    )


def _patients(
    cohort: Cohort, indices: np.ndarray, augment: AugmentConfig | None, *, windows: bool
) -> tuple[Callable[..., Any], Callable[..., Any], dict[str, list[int]]]:
    """Two functions for `Dataset.map`, and the shapes of the slices of a patient.

    The first takes the rows of a batch (B,) and (2,) random integers for the augmentation, and returns the
    parameters of each patient; the second takes the parameters of one patient and returns (slices, label).
    """
    canvas = cohort.masks.shape[1:3]
    flips, degrees = (augment.flips, augment.rotation_degrees) if augment else (False, 0.0)
    rot90 = turn_probability(augment, canvas)
    places = [tumour_window(cohort.masks[i, ..., 0], cohort.spacing[i], degrees) for i in indices]
    origins, edges, centres = (np.stack(part) for part in zip(*places))
    if not windows:
        origins, edges = np.zeros_like(origins), np.tile(canvas, (len(indices), 1))
    pixels = _pixels(cohort, indices, origins, edges, masked=windows)
    # What is turned by 90 degrees has the rows of the other as its columns.
    largest = [*(edges.max(axis=0) if not rot90 else [edges.max()] * 2), 1]
    shapes = {"image": largest, "mask": largest, "spacing": [2]} | ({"origin": [2]} if windows else {})
    shapes |= {name: [*array.shape[1:]] for name, array in cohort.inputs.items()}
    # The input pipeline runs on the CPU: from a GPU these would be copied back for every batch.
    with tf.device("/CPU:0"):
        pixels = tf.constant(pixels)
        sizes = {
            "start": tf.constant(np.cumsum(edges.prod(axis=1)) - edges.prod(axis=1), tf.int64),
            "edges": tf.constant(edges, tf.int32),
            "origin": tf.constant(origins, tf.int32),
            "centre": tf.constant(centres - origins, tf.float32),
            "spacing": tf.constant(cohort.spacing[indices]),
            "label": tf.constant(cohort.labels[indices]),
            **{name: tf.constant(array[indices]) for name, array in cohort.inputs.items()},
        }

    # Both functions are graph code already: converting them would only delay the start.
    @tf.autograph.experimental.do_not_convert
    def describe(rows: tf.Tensor, integers: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        parameters = {name: tf.gather(values, rows) for name, values in sizes.items()}
        turns = quarter_turns(rot90, rows, integers)
        parameters = turned_parameters(parameters, turns)
        edges, centre = parameters["edges"], parameters.pop("centre")
        uniform: tf.Tensor = (
            tf.random.stateless_uniform([3, tf.shape(rows)[0]], integers) if augment else None
        )
        if flips or turns is not None:
            is_flipped = flipped_axes(tf.transpose(uniform[:2]) < 0.5 if flips else None, turns)
            parameters["step"] = tf.where(is_flipped, -1, 1)
            origin = parameters["origin"]
            parameters["origin"] = tf.where(is_flipped, canvas - edges - origin, origin)
            centre = tf.where(is_flipped, tf.cast(edges - 1, tf.float32) - centre, centre)
        if degrees:
            angle = (2 * uniform[2] - 1) * math.radians(degrees)
            parameters["rotation"] = rotations(centre, parameters["spacing"], angle)
        return parameters

    @tf.autograph.experimental.do_not_convert
    def draw(of: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        rows, columns = tf.unstack(of["edges"])
        strip = tf.slice(pixels, [of["start"], 0], [tf.cast(rows * columns, tf.int64), 2])
        field = transposed(strip, of) if rot90 else tf.reshape(strip, [rows, columns, 2])
        if flips or rot90:
            field = field[:: of["step"][0], :: of["step"][1]]
        if degrees:
            field = rotated(field, of["rotation"], surroundings=not windows)
        image, mask = tf.split(field, 2, axis=-1)
        return {"image": image, "mask": mask} | {key: of[key] for key in shapes if key in of}, of["label"]

    return describe, draw, shapes


def _pixels(
    cohort: Cohort, indices: np.ndarray, origins: np.ndarray, edges: np.ndarray, *, masked: bool
) -> np.ndarray:
    """(pixels, 2), image (image·mask if masked) and mask in a rectangle per patient, one after the other."""
    stops = np.cumsum(edges.prod(axis=1))
    pixels = np.empty((stops[-1], 2), np.float32)
    for index, (y, x), (rows, columns), stop in zip(indices, origins, edges, stops):
        strip = pixels[stop - rows * columns : stop].reshape(rows, columns, 2)
        for channel, field in enumerate((cohort.images, cohort.masks)):
            strip[..., channel] = field[index, y : y + rows, x : x + columns, 0]
    if masked:
        pixels[:, 0] *= pixels[:, 1]
    return pixels
