"""Alignment of gradients that were computed elsewhere, as graphs for batches of them."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras.geometry.alignment import alignment_products, orthonormal
from fgf_keras.geometry.products import inner_products
from fgf_keras.geometry.sections import contrasts
from fgf_keras.measure.array_inputs import GradientArrays, check_mask, numbers
from fgf_keras.measure.array_path import ArrayFlow
from fgf_keras.measure.sample_quantities import quantities_at_sample


class ArrayMeasure:
    """What `AlignmentMeasure` is to a classifier, for gradients: everything in float64.

    Fields are flat inside, (B, k, places·channels), so that nothing depends on the number of spatial axes.

    Args:
        gradients: of all samples.
        ids: (N,) names of the samples, for messages.
        nulls: whether to return what null fields are compared with.
        flow: follows the paths; without it F is not measured.
    """

    def __init__(
        self, gradients: GradientArrays, ids: np.ndarray, *, nulls: bool, flow: ArrayFlow | None
    ) -> None:
        self._shape, self._outputs = gradients.shape, gradients.outputs
        self._ids, self._nulls, self._flow = ids, nulls, flow
        size = math.prod(self._shape)
        # Traced once: TensorFlow must not warn of retracing because of a second measure.
        self._graph = tf.function(self._at_sample, autograph=False).get_concrete_function(
            tf.TensorSpec([None, self._outputs, size], tf.float64, name="score"),
            tf.TensorSpec([None, len(gradients.names), size], tf.float64, name="features"),
            tf.TensorSpec([None, *self._shape[:-1], 1], tf.float32, name="mask"),
            tf.TensorSpec([None, self._outputs], tf.float64, name="logits"),
        )

    def tensors(self, *arrays: Any) -> list[tf.Tensor]:
        """The rows of a batch, with gradients restricted to the mask.

        Args:
            arrays: score, features and mask as of `GradientArrays`; logits (B, K); numbers of the samples
                (B,); images (B, *spatial, C), where the paths begin, if they are followed.

        Raises:
            DataError: gradients or images that are not finite, masks that are empty or hold other values
                than 0 and 1.
        """
        score, features, mask, logits, rows, *images = arrays
        ids, mask = self._ids[rows], np.asarray(mask)
        check_mask(mask, ids)
        inside = np.broadcast_to(mask, (len(mask), *self._shape)).reshape(len(mask), 1, -1)
        flat = []
        for what, array in (("score_gradients", score), ("feature_gradients", features)):
            values = numbers(array, what, ids).astype(np.float64)
            flat.append(tf.constant(values.reshape(len(values), -1, inside.shape[-1]) * inside))
        starts = [self._flow.tensor(numbers(array, "images", ids)) for array in images if self._flow]
        marked = tf.constant(mask.astype(np.float32))
        return [*flat, marked, tf.constant(logits), tf.constant(rows, tf.int64), *starts]

    def at_sample(self, *tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        """What `quantities_at_sample` says, dimension (B,) of the support, and null_… of S."""
        return self._graph(*tensors[:4])

    def along_flow(self, *tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        """What `ArrayFlow` measures along the paths; nothing without it."""
        return {} if self._flow is None else self._flow(tensors[2], *tensors[4:])

    def _at_sample(
        self, score: tf.Tensor, features: tf.Tensor, mask: tf.Tensor, logits: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        section = score if self._outputs == 1 else tf.matmul(contrasts(self._outputs), score)
        result = quantities_at_sample(alignment_products(section, features), logits)
        places = tf.reduce_sum(tf.reshape(mask, [tf.shape(mask)[0], -1]), axis=1)
        result["dimension"] = tf.cast(places, tf.int32) * self._shape[-1]
        if self._nulls:
            basis = orthonormal(section)
            result |= {
                "null_S": self._fields(basis),
                "null_S_gram": inner_products(basis, basis),
                "null_features": self._fields(features),
                "null_mask": mask,
                "null_products": alignment_products(basis, features).whole(),
            }
        return result

    def _fields(self, flat: tf.Tensor) -> tf.Tensor:
        """Flat fields as (B, k, *spatial, C), in the precision of random fields."""
        return tf.cast(tf.reshape(flat, [-1, flat.shape[1], *self._shape]), tf.float32)
