"""Batches of a cohort as tf.data."""

import math

import numpy as np
import tensorflow as tf

from fgf_keras.config_data import AugmentConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.errors import DataError


def make_dataset(
    cohort: Cohort,
    indices,
    *,
    batch_size: int,
    seed: int | None = None,
    augment: AugmentConfig | None = None,
    balanced: bool = False,
    training: bool = False,
) -> tf.data.Dataset:
    """Batches of the patients at `indices`.

    Elements are `({"image": (B, H, W, 1), "mask": (B, H, W, 1), "spacing": (B, 2)}, label)`, float32, with
    the mask in {0, 1}, spacing in mm (row, column) and label (B,) int64. An epoch has ceil(n / batch_size)
    batches.

    Args:
        cohort: where the patients are; the dataset keeps one copy of those it reads.
        indices: (n,) positions in the cohort.
        batch_size: patients a batch; the last batch may be smaller.
        seed: of order and augmentation. The same seed gives the same batches, epoch after epoch; a global
            seed, where one is set with `tf.random.set_seed`, enters as well. None draws anew each time.
        augment: random flips, and a rotation in mm about the centre of the tumour. Training only.
        balanced: draw every class equally often: patients of a rare class come several times an epoch, and
            all batches are full. Training only.
        training: shuffle anew each epoch. False keeps the order of `indices`.

    Raises:
        DataError: indices that are empty, not integers or not in the cohort; a batch size below 1; `balanced`
            with a class that has no patient; `augment` or `balanced` without `training`.
    """
    indices = _checked_indices(indices, len(cohort))
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1. Received: batch_size={batch_size}.")
    if (augment or balanced) and not training:
        raise DataError("augment and balanced change what is measured: they need training=True.")
    labels = cohort.labels[indices]
    batches = math.ceil(len(indices) / batch_size)
    # On a GPU these would be copied back for every batch: the input pipeline runs on the CPU.
    with tf.device("/CPU:0"):
        arrays = {
            "image": tf.constant(cohort.images[indices]),
            "mask": tf.constant(cohort.masks[indices]),
            "spacing": tf.constant(cohort.spacing[indices]),
        }
        label = tf.constant(labels)

    if balanced:
        order = _balanced_order(labels, cohort.class_count, seed).batch(batch_size).take(batches)
        order = order.apply(tf.data.experimental.assert_cardinality(batches))
    else:
        order = tf.data.Dataset.range(len(indices))
        if training:
            order = order.shuffle(len(indices), seed=seed, reshuffle_each_iteration=True)
        order = order.batch(batch_size)

    def gather(rows):
        slices = {name: tf.cast(tf.gather(array, rows), tf.float32) for name, array in arrays.items()}
        return slices, tf.gather(label, rows)

    if augment is None:
        dataset = order.map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    else:
        draws = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2, drop_remainder=True)

        def gather_and_augment(rows, draw):
            slices, truth = gather(rows)
            return _augmented(slices, draw, augment), truth

        dataset = tf.data.Dataset.zip(order, draws).map(
            gather_and_augment, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
    return dataset.prefetch(tf.data.AUTOTUNE)


def class_weights(labels) -> dict[int, float]:
    """n / (K n_k) for each class k: every class then weighs the same in the loss, and the mean weight is 1.

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


def _checked_indices(indices, n):
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


def _balanced_order(labels, classes, seed):
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
        own_seed = None if seed is None else seed + 1 + k
        streams.append(rows.shuffle(counts[k], seed=own_seed, reshuffle_each_iteration=True).repeat())
    return tf.data.Dataset.sample_from_datasets(
        streams, weights=[1 / classes] * classes, seed=seed, rerandomize_each_iteration=True
    )


def _augmented(slices, draw, augment):
    """One random flip and rotation a patient, the same for image and mask; `draw` is (2,) int64."""
    image, mask, spacing = slices["image"], slices["mask"], slices["spacing"]
    patients = tf.shape(image)[0]
    uniform = tf.random.stateless_uniform([3, patients], draw)
    if augment.flips:
        for axis in (1, 2):
            chosen = uniform[axis - 1][:, None, None, None] < 0.5
            image = tf.where(chosen, tf.reverse(image, [axis]), image)
            mask = tf.where(chosen, tf.reverse(mask, [axis]), mask)
    if augment.rotation_degrees:
        angle = (2 * uniform[2] - 1) * math.radians(augment.rotation_degrees)
        image, mask = _rotated(image, mask, spacing, angle)
    return {"image": image, "mask": mask, "spacing": spacing}


def _rotated(image, mask, spacing, angle):
    """Rotate about the centre of the mask by `angle` (B,), a rotation in mm whatever the spacing.

    Inside the mask a pixel is the mean of the tumour pixels around it, weighted by distance, and takes
    nothing from outside: slices that are masked already would get a dark rim otherwise. A tumour so thin that
    nothing is left of it stays as it was.
    """
    shape = tf.shape(image)[1:3]
    transforms = _rotation_about(_centre(mask), spacing, angle)

    def warped(x, fill):
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=x,
            transforms=transforms,
            output_shape=shape,
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode=fill,
        )

    tumour = warped(tf.concat([image * mask, mask], axis=-1), "CONSTANT")
    share = tumour[..., 1:]
    inside = share > 0.5
    # NEAREST, because what lies beyond the canvas is more of the same and not air.
    around = warped(image, "NEAREST")
    turned = tf.where(inside, tf.math.divide_no_nan(tumour[..., :1], share), around)
    kept = tf.reduce_any(inside, axis=[1, 2, 3], keepdims=True)
    # Quotients of rounded numbers may pass 1 by a rounding error.
    turned = tf.clip_by_value(turned, 0.0, 1.0)
    return tf.where(kept, turned, image), tf.where(kept, tf.cast(inside, mask.dtype), mask)


def _centre(mask):
    """(B, 2), mean row and column of each mask in pixels."""
    area = tf.reduce_sum(mask, axis=[1, 2, 3])
    rows = tf.range(tf.shape(mask)[1], dtype=tf.int32)
    columns = tf.range(tf.shape(mask)[2], dtype=tf.int32)
    y = tf.reduce_sum(mask[..., 0] * tf.cast(rows, mask.dtype)[:, None], axis=[1, 2]) / area
    x = tf.reduce_sum(mask[..., 0] * tf.cast(columns, mask.dtype), axis=[1, 2]) / area
    return tf.stack([y, x], axis=1)


def _rotation_about(centre, spacing, angle):
    """(B, 8) projective transforms from output to input pixels, column first, as TensorFlow wants them."""
    y, x = centre[:, 0], centre[:, 1]
    ratio = spacing[:, 0] / spacing[:, 1]
    cos, sin = tf.cos(angle), tf.sin(angle)
    x_by_y, y_by_x = -sin * ratio, sin / ratio
    zero = tf.zeros_like(x)
    return tf.stack(
        [cos, x_by_y, x - cos * x - x_by_y * y, y_by_x, cos, y - y_by_x * x - cos * y, zero, zero], axis=1
    )
