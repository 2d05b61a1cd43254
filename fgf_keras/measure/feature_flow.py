"""Images whose features are moved to given values along the features' own gradient flow.

One feature: the path of steepest ascent or descent of g, which is the gradient flow of the score g(x) - t.
Several features: the path x' = -J⁺(g(start) - t), with J the Jacobian of the features, on which all of them
go to their targets together, on a straight line in the space of features; with one feature, the same path.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fgf_keras.features.base import Feature, stack_gradients
from fgf_keras.flow.chords import Observer, PathPoint, where_set
from fgf_keras.flow.gradient_flow import gradient_flow
from fgf_keras.flow.settings import Flow
from fgf_keras.flow.step import Slope
from fgf_keras.geometry.alignment import Products, normalised_features, pseudo_inverse
from fgf_keras.geometry.products import inner, inner_products, per_sample, weighted_sum

# Function of latents (B, …) to images (B, H, W, C), built of tf operations.
Decode = Callable[[tf.Tensor], tf.Tensor]
# Of the path, only its end matters; the tolerance is that of the mean cosine of its turn.
FLOW = Flow(max_steps=32, tolerance=1e-2)
# Rounds in which pixels at the ends of [0, 1] are fixed; with one feature, one round finds them all.
_ROUNDS = 3
# Most Gauss-Newton steps after the path, and the distance from the targets, in scales, that needs none.
_CORRECTIONS, _EXACT = 8, 1e-4


class _Context(NamedTuple):
    """What the functions of a path need besides the place, each with a leading batch axis.

    Attributes:
        outside: (B, H, W, C), the image where the mask is 0.
        mask: (B, H, W, 1).
        spacing: (B, 2) mm.
        chosen: (B, m) bool, the features that move.
        aim: (B, m), the unit vector from the targets to g(start), in scales; 0 for the other features.
        heading: like the place, the direction of the path at its start.
    """

    outside: tf.Tensor
    mask: tf.Tensor
    spacing: tf.Tensor
    chosen: tf.Tensor
    aim: tf.Tensor
    heading: tf.Tensor


class FeatureFlow:
    """A graph that moves features of images to targets, traced once for any batch and any choice of features.

    Pixels outside the mask do not change, and those inside stay in [0, 1]: a pixel at an end of that range is
    fixed while the path would lead out of it (the projected gradient).

    Args:
        features: m features.
        targets: (m,), in the units of `Feature.value`.
        scales: (m,) > 0, the change of each feature that counts as 1, e.g. its standard deviation.
        image_shape: (H, W, C) of the images, (D, H, W, C) of volumes; all but C may be None.
        latent_shape: the shape of one latent if the path is followed in the latent space of a generative
            model; `decode` is then needed.
        decode: from latents to images. Where a decoded pixel lies outside [0, 1] it is clipped.
        dtype: of the images.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        targets: np.ndarray,
        scales: np.ndarray,
        image_shape: Sequence[int | None],
        *,
        latent_shape: Sequence[int] | None = None,
        decode: Decode | None = None,
        dtype: tf.DType = tf.float32,
    ) -> None:
        self._features = list(features)
        self._targets = tf.constant(targets, dtype)
        self._scales = tf.constant(scales, dtype)
        self._latent_shape, self._decode = latent_shape, decode
        *axes, channels = image_shape
        place = [None, *(image_shape if latent_shape is None else latent_shape)]
        signature = [
            tf.TensorSpec(place, dtype),
            tf.TensorSpec([None, *axes, channels], dtype),
            tf.TensorSpec([None, *axes, 1], dtype),
            tf.TensorSpec([None, len(axes)], dtype),
            tf.TensorSpec([len(self._features)], tf.bool),
        ]
        self._score = tf.function(self._distance_and_field, autograph=False, reduce_retracing=True)
        # TensorFlow must not warn of retracing because of a second flow.
        self.moved = tf.function(self._moved, autograph=False).get_concrete_function(*signature)

    def _moved(
        self, start: tf.Tensor, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor, chosen: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Images at the start and at the end of the path.

        Args:
            start: (B, …), where paths begin: the images, or latents.
            image: (B, H, W, C) or (B, D, H, W, C), what the classifier sees; of it, pixels outside the mask
                are kept.
            mask: of the same shape with one channel, in {0, 1}.
            spacing: (B, s) mm.
            chosen: (m,) bool, the features that move.

        Returns:
            before, after, like the image; error (B,), the largest |g - t| of the chosen features at the end,
            in their scales; status (B,) of `FlowStatus`.
        """
        if self._latent_shape is not None:
            # The integrator follows fields of pixels.
            start = tf.reshape(start, [-1, 1, 1, int(np.prod(self._latent_shape))])
        none = tf.zeros_like(start)
        rows = tf.broadcast_to(chosen, [tf.shape(start)[0], len(self._features)])
        context = _Context(image * (1 - mask), mask, spacing, rows, tf.cast(rows, start.dtype), none)
        distance = self._gap(start, context)
        aim = tf.math.divide_no_nan(distance, tf.norm(distance, axis=1, keepdims=True))
        context = context._replace(aim=aim)
        z, gradient = self._score(start, *context)
        context = context._replace(heading=Slope.of(z, gradient, z).direction)
        flow = gradient_flow(self._score, start, _TURN, context=context, flow=FLOW)
        place, distance = self._corrected(flow.boundary, context)
        return {
            "before": self._seen(start, context),
            "after": self._seen(place, context),
            "error": tf.reduce_max(tf.abs(distance), axis=1),
            "status": flow.status,
        }

    def _distance_and_field(self, place: tf.Tensor, *tensors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The distance from the targets along the aim (B,), and its derivative along the path as a field."""
        context = _Context(*tensors)
        field, change = self._least(place, context.aim, context)
        fall = tf.math.divide_no_nan(tf.reduce_sum(context.aim * change, axis=1), inner(field, field))
        distance = tf.reduce_sum(context.aim * self._gap(place, context), axis=1)
        return distance, per_sample(fall, field) * field

    def _corrected(self, place: tf.Tensor, context: _Context) -> tuple[tf.Tensor, tf.Tensor]:
        """The ends of paths moved onto the targets by Gauss-Newton steps, and the distances left (B, m).

        They are needed because steps of finite length leave the straight line in the space of features. One
        that does not come closer is halved.
        """

        def correct(
            count: tf.Tensor, place: tf.Tensor, distance: tf.Tensor, part: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            after = place - per_sample(part, place) * self._least(place, distance, context)[0]
            if self._latent_shape is None:
                after = tf.where(context.mask > 0, tf.clip_by_value(after, 0, 1), after)
            left = self._gap(after, context)
            closer = tf.norm(left, axis=1) < tf.norm(distance, axis=1)
            return (
                count + 1,
                where_set(closer, after, place),
                where_set(closer, left, distance),
                tf.where(closer, tf.ones_like(part), part / 2),
            )

        def is_off(count: tf.Tensor, place: tf.Tensor, distance: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
            del place, part
            return (count < _CORRECTIONS) & tf.reduce_any(tf.abs(distance) > _EXACT)

        distance = self._gap(place, context)
        first = (tf.constant(0), place, distance, tf.ones_like(distance[:, 0]))
        _, place, distance, _ = tf.while_loop(is_off, correct, first, parallel_iterations=1)
        return place, distance

    def _gap(self, place: tf.Tensor, context: _Context) -> tf.Tensor:
        """(g - t)/scale of the chosen features and 0 of the others, (B, m)."""
        seen = self._seen(place, context)
        values = [feature.value(seen, context.mask, context.spacing) for feature in self._features]
        distance = (tf.stack(values, axis=1) - self._targets) / self._scales
        return tf.where(context.chosen, distance, tf.zeros_like(distance))

    def _decoded(self, place: tf.Tensor) -> tf.Tensor:
        if self._latent_shape is None or self._decode is None:
            return place
        return self._decode(tf.reshape(place, [-1, *self._latent_shape]))

    def _seen(self, place: tf.Tensor, context: _Context) -> tf.Tensor:
        return tf.clip_by_value(self._decoded(place), 0, 1) * context.mask + context.outside

    def _least(self, place: tf.Tensor, distance: tf.Tensor, context: _Context) -> tuple[tf.Tensor, tf.Tensor]:
        """J⁺e for distances e (B, m), a field like the place, and J J⁺e (B, m)."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(place)
            image = self._decoded(place)
        seen = tf.clip_by_value(image, 0, 1) * context.mask + context.outside
        fields = stack_gradients(self._features, seen, context.mask, context.spacing)
        pixels = [1] * (seen.shape.rank - 1)
        fields *= context.mask[:, tf.newaxis] / tf.reshape(self._scales, [-1, *pixels])
        chosen = tf.reshape(context.chosen, [-1, len(self._features), *pixels])
        fields = tf.where(chosen, fields, tf.zeros_like(fields))
        if self._latent_shape is not None:
            fields *= tf.cast((image >= 0) & (image <= 1), fields.dtype)[:, tf.newaxis]
            in_latents = [
                tape.gradient(image, place, output_gradients=field) for field in tf.unstack(fields, axis=1)
            ]
            return _least_field(tf.stack(in_latents, axis=1), distance)
        field, change = _least_field(fields, distance)
        for _ in range(_ROUNDS if len(self._features) > 1 else 1):
            # The path goes the opposite way.
            leaves = ((place <= 0) & (field > 0)) | ((place >= 1) & (field < 0))
            fields = tf.where(leaves[:, tf.newaxis], tf.zeros_like(fields), fields)
            field, change = _least_field(fields, distance)
        return field, change


def _least_field(fields: tf.Tensor, distance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The smallest field v with ⟨∇g_i, v⟩ = e_i as far as possible, and ⟨∇g_i, v⟩ (B, m).

    Args:
        fields: (B, m, …, C), ∇g_i; collinear ones count once.
        distance: (B, m), e.
    """
    wide = tf.cast(fields, tf.float64)
    gram = inner_products(wide, wide)
    inverse, _ = pseudo_inverse(normalised_features(Products(gram, gram, gram)))
    norm = tf.sqrt(tf.linalg.diag_part(gram))
    weights = tf.math.divide_no_nan(tf.cast(distance, tf.float64), norm)
    weights = tf.math.divide_no_nan(tf.linalg.matvec(inverse, weights), norm)
    field = weighted_sum(weights[:, tf.newaxis], wide)[:, 0]
    return tf.cast(field, fields.dtype), tf.cast(tf.linalg.matvec(gram, weights), fields.dtype)


def _cosine(direction: tf.Tensor, *context: tf.Tensor) -> tf.Tensor:
    return inner(direction[:, 0], _Context(*context).heading)[:, tf.newaxis, tf.newaxis]


def _observed(point: PathPoint, *context: tf.Tensor) -> tf.Tensor:
    del context
    return point.linear


# The cosine between the path's direction and its first one: when its mean is known, the path is resolved.
_TURN = Observer(_observed, 1, linear=_cosine)
