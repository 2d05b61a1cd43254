"""The volumes of a cohort as elements of a `tf.data.Dataset`, with random flips and rotations."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras.config.data import AugmentConfig
from fgf_keras.data.augmentation import rotated, rotations
from fgf_keras.data.cohort import Cohort

# Random numbers per patient: a flip along each axis, and the angle.
_DRAWS = 4


def volume_elements(
    cohort: Cohort, indices: np.ndarray, augment: AugmentConfig | None
) -> tuple[Callable[..., Any], Callable[..., Any], dict[str, list[int]]]:
    """Two functions for `Dataset.map`, and the shapes of the fields of a patient.

    The first takes the rows of a batch (B,) and (2,) random integers for the augmentation, and returns the
    parameters of each patient; the second takes the parameters of one patient and returns (fields, label),
    image and mask (D, H, W, 1) and spacing (3,). Volumes are flipped along each of their axes, and rotated in
    the axial plane about the centre of the tumour.
    """
    depth, height, width = cohort.masks.shape[1:4]
    flips, degrees = (augment.flips, augment.rotation_degrees) if augment else (False, 0.0)
    centres = np.array([np.argwhere(cohort.masks[i, ..., 0])[:, 1:].mean(axis=0) for i in indices])
    # The input pipeline runs on the CPU: from a GPU these would be copied back for every batch.
    with tf.device("/CPU:0"):
        images, masks = tf.constant(cohort.images[indices]), tf.constant(cohort.masks[indices])
        sizes = {
            "centre": tf.constant(centres, tf.float32),
            "spacing": tf.constant(cohort.spacing[indices]),
            "label": tf.constant(cohort.labels[indices]),
            **{name: tf.constant(array[indices]) for name, array in cohort.inputs.items()},
        }
    last = tf.constant([height - 1, width - 1], tf.float32)

    # Both functions are graph code already: converting them would only delay the start.
    @tf.autograph.experimental.do_not_convert
    def describe(rows: tf.Tensor, integers: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        parameters = {"row": rows} | {name: tf.gather(values, rows) for name, values in sizes.items()}
        centre = parameters.pop("centre")
        uniform: tf.Tensor = (
            tf.random.stateless_uniform([_DRAWS, tf.shape(rows)[0]], integers) if augment else None
        )
        if flips:
            is_flipped = tf.transpose(uniform[:3]) < 0.5
            parameters["step"] = tf.where(is_flipped, -1, 1)
            centre = tf.where(is_flipped[:, 1:], last - centre, centre)
        if degrees:
            angle = (2 * uniform[3] - 1) * math.radians(degrees)
            parameters["rotation"] = rotations(centre, parameters["spacing"][:, 1:], angle)
        return parameters

    @tf.autograph.experimental.do_not_convert
    def draw(of: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        image, mask = (tf.cast(values[of["row"]], tf.float32)[..., 0] for values in (images, masks))
        if flips:
            z, y, x = tf.unstack(of["step"])
            image, mask = (field[::z, ::y, ::x] for field in (image, mask))
        if degrees:
            # The slices as channels: all of them turn alike.
            channels = tf.transpose(tf.concat([image, mask], axis=0), [1, 2, 0])
            turned = tf.transpose(rotated(channels, of["rotation"], surroundings=True), [2, 0, 1])
            image, mask = tf.split(turned, 2)
        fields = {"image": image[..., tf.newaxis], "mask": mask[..., tf.newaxis]}
        return fields | {name: of[name] for name in vectors}, of["label"]

    box = [depth, height, width, 1]
    vectors = {"spacing": [3]} | {name: [*array.shape[1:]] for name, array in cohort.inputs.items()}
    return describe, draw, {"image": box, "mask": box, **vectors}
