"""Steps along a path: where the score is evaluated, and which direction follows from it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import tensorflow as tf

from fgf_keras.config.named import STEPS, named_class
from fgf_keras.errors import ConfigError
from fgf_keras.geometry.products import inner, per_sample


class Slope(NamedTuple):
    """The score at a place, and how it changes there.

    Attributes:
        score: (B,).
        direction: (B, H, W, C), σ∇z/‖∇z‖ with σ the sign of the score at the start; the path goes the
            opposite way. Zero where the gradient vanishes or is not finite.
        slope: (B,), ‖∇z‖.
        finite: (B,) bool, whether score and gradient are finite.
    """

    score: tf.Tensor
    direction: tf.Tensor
    slope: tf.Tensor
    finite: tf.Tensor

    @classmethod
    def of(cls, score: tf.Tensor, gradient: tf.Tensor, sign: tf.Tensor) -> "Slope":
        """From the score (B,), its gradient (B, H, W, C) and σ (B,); no square can overflow or underflow."""
        score = tf.cast(score, gradient.dtype)
        largest = tf.reduce_max(tf.abs(gradient), axis=range(1, len(gradient.shape)))
        finite = tf.math.is_finite(largest)
        scaled = tf.math.divide_no_nan(gradient, per_sample(largest, gradient))
        scaled = tf.where(per_sample(finite, gradient), scaled, tf.zeros_like(scaled))
        norm = tf.cast(tf.sqrt(inner(scaled, scaled)), gradient.dtype)
        direction = tf.math.divide_no_nan(scaled, per_sample(norm * tf.sign(sign), scaled))
        slope = tf.where(finite, largest * norm, tf.zeros_like(largest))
        return cls(score, direction, slope, finite & tf.math.is_finite(score))


class Step(ABC):
    """How a step along a path is made.

    Attributes:
        evaluations: number of gradient evaluations per step.
    """

    evaluations: ClassVar[int] = 1

    @abstractmethod
    def __call__(
        self, at: Callable[[tf.Tensor], Slope], image: tf.Tensor, direction: tf.Tensor, length: tf.Tensor
    ) -> tuple[Slope, tf.Tensor]:
        """The direction of the next step.

        Args:
            at: function of images (B, H, W, C) to their `Slope`.
            image: (B, H, W, C), where the step begins.
            direction: (B, H, W, C), of the previous step; the path goes the opposite way.
            length: (B,), of the step; 0 where the score at `image` itself is needed.

        Returns:
            A `Slope` whose direction is that of the step, and the distance (B,) from `image` along the path
            at which its score and slope hold.
        """


class Midpoint(Step):
    """The direction half a step ahead, at a point extrapolated along the previous step.

    One gradient per step, and an error proportional to the square of the step.
    """

    def __call__(
        self, at: Callable[[tf.Tensor], Slope], image: tf.Tensor, direction: tf.Tensor, length: tf.Tensor
    ) -> tuple[Slope, tf.Tensor]:
        """See `Step.__call__`."""
        return at(image - per_sample(length / 2, image) * direction), length / 2


def step_of(name: str) -> Step:
    """The step with a given name: one of `config.named.STEPS`, or `module:Name` of a subclass of `Step`.

    Raises:
        ConfigError: it cannot be imported, or is not a `Step`.
    """
    try:
        return named_class(STEPS, name, Step)()
    except ValueError as error:
        raise ConfigError(f"Flow: step: {error}.") from error
