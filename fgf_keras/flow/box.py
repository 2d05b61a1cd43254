"""The range of the images as a box that a path does not leave.

At a limit of the range, components of the gradient that would leave the box are set to zero: the path follows
the projected gradient. While the gradient is constant, pixels move independently of each other: each goes on
until it comes to a limit and stays there. So steps are made with all pixels that are free at the node, and
cut off at the limits.
"""

from typing import NamedTuple, Self

import tensorflow as tf

from fgf_keras.config.data import IMAGE_RANGE, ROUNDING
from fgf_keras.flow.walker import Walker
from fgf_keras.geometry.products import inner, per_sample

# Corrections of the predicted distance to the boundary for pixels that come to a limit on the way.
_CORRECTIONS = 4
# A pixel with more than this share of the squared direction turns the path sharply where it comes to a limit.
_CORNER = 0.2


class Box(NamedTuple):
    """All images whose values lie between two limits.

    Attributes:
        low, high: the limits.
    """

    low: float
    high: float

    @classmethod
    def of(cls, name: str) -> Self | None:
        """The box of a `Flow.range`; None for paths that may leave it."""
        return cls(*IMAGE_RANGE) if name == "bounded" else None

    def inside(self, image: tf.Tensor) -> tf.Tensor:
        """The nearest image in the box."""
        return tf.clip_by_value(image, self.low, self.high)

    def ahead(self, image: tf.Tensor, gradient: tf.Tensor, score: tf.Tensor) -> tf.Tensor:
        """The gradient without the components that would leave the box at `image`.

        Args:
            image, gradient: (B, H, W, C), the image in the box.
            score: (B,), whose sign says whether the path goes down or up the gradient.
        """
        leaves = self._leaves(image, gradient * per_sample(tf.cast(tf.sign(score), gradient.dtype), gradient))
        # What is not finite stays, to be found.
        return tf.where(leaves & tf.math.is_finite(gradient), tf.zeros_like(gradient), gradient)

    def holds(self, image: tf.Tensor, gradient: tf.Tensor, score: tf.Tensor) -> tf.Tensor:
        """Whether the limits hold back a part of the gradient at `image`, (B,) bool."""
        held = tf.not_equal(self.ahead(image, gradient, score), gradient)
        return tf.reduce_any(held, axis=range(1, len(image.shape)))

    def turned(self, w: Walker) -> Walker:
        """The paths with the direction and slope that they have beyond the limits they have come to."""
        leaves, none = self._leaves(w.image, w.direction), tf.zeros_like(w.direction)
        direction = tf.where(leaves, none, w.direction)
        size = tf.sqrt(inner(direction, direction))
        unit = tf.math.divide_no_nan(direction, per_sample(size, direction))
        return w._replace(direction=unit, bend=tf.where(leaves, none, w.bend), slope=w.slope * size)

    def lost(self, image: tf.Tensor, edge: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
        """How far an edge (start minus end) leads out of the box, along a unit direction, (B,)."""
        end = image - edge
        return inner(direction, self.inside(end) - end)

    def distance(self, image: tf.Tensor, direction: tf.Tensor, straight: tf.Tensor) -> tf.Tensor:
        """The length of a step by which the score falls as much as by `straight` without limits, (B,).

        Pixels that come to a limit on the way add nothing from there on, so the others have to go further.
        Corrections approach the length from below; where all pixels come to limits first, it stays finite.

        Args:
            image: (B, H, W, C) in the box.
            direction: (B, H, W, C), unit; as for all directions of a path, the path goes the opposite way.
            straight: (B,); negative ones are returned unchanged.
        """
        pace = tf.abs(direction)
        room = tf.where(direction > 0, image - self.low, self.high - image)
        length = straight
        for _ in range(_CORRECTIONS):
            way = per_sample(length, pace) * pace
            still_free = tf.where(way < room, pace, tf.zeros_like(pace))
            fall = inner(pace, tf.minimum(way, room))
            more = tf.math.divide_no_nan(straight - fall, inner(still_free, still_free))
            length += tf.clip_by_value(more, 0, tf.maximum(length, 0))
        return tf.where(straight > 0, length, straight)

    def corner(self, image: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
        """The distance (B,) to the first limit at which a single pixel turns the path sharply, or infinity.

        Args:
            image, direction: see `distance`.
        """
        pace = tf.abs(direction)
        room = tf.where(direction > 0, image - self.low, self.high - image)
        # A little beyond the limit, so that rounding does not leave the pixel just before it.
        way = tf.math.divide_no_nan(room, pace) * (1 + ROUNDING)
        way = tf.where(pace**2 > _CORNER, way, tf.constant(float("inf"), way.dtype))
        return tf.reduce_min(way, axis=range(1, len(image.shape)))

    def _leaves(self, image: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
        """Which components of a direction leave the box at `image`, which lies in it; of bool."""
        return ((image <= self.low) & (direction > 0)) | ((image >= self.high) & (direction < 0))
