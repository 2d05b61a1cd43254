"""Functions of TensorFlow and Keras that are replaced while a classifier is called for its input gradient."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf


class _Replacement:
    """A context that replaces one function by another while any thread is inside it.

    Threads outside the context see the replacement too, so it must be right for them as well.
    """

    def __init__(self, owner: Any, name: str, replacement: Callable[..., Any]) -> None:
        self._owner, self._name, self._replacement = owner, name, replacement
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._original = getattr(self._owner, self._name)
                setattr(self._owner, self._name, self._replacement)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                setattr(self._owner, self._name, self._original)


def _moments(
    x: tf.Tensor,
    axes: Sequence[int] | tf.Tensor,
    shift: tf.Tensor | None = None,
    keepdims: bool = False,
    name: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.nn.moments` without its `stop_gradient` on the mean: the same values."""
    del shift
    with tf.name_scope(name or "moments"):
        x = tf.convert_to_tensor(x)
        # As in TensorFlow, because statistics in float16 would overflow.
        wide = tf.cast(x, tf.float32) if x.dtype == tf.float16 else x
        mean = tf.reduce_mean(wide, axes, keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(wide, mean), axes, keepdims=True)
        if not keepdims:
            mean, variance = tf.squeeze(mean, axes), tf.squeeze(variance, axes)
        return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)


# TensorFlow treats the mean as a constant in the variance. The first derivative is not affected, because Σ(x
# - mean) = 0, but the second one lacks a term, and so does the reward's gradient through every layer, group
# and batch normalisation. Reentrant, and safe for other threads: values and first derivatives are the same.
exact_moments = _Replacement(tf.nn, "moments", _moments)


class _Statistics(threading.local):
    moving = False


_statistics = _Statistics()
_call_batch_normalization = keras.layers.BatchNormalization.call


@functools.wraps(_call_batch_normalization)
def _call(
    self: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    training = False if _statistics.moving else training
    return _call_batch_normalization(self, inputs, training=training, mask=mask)


_batch_normalization = _Replacement(keras.layers.BatchNormalization, "call", _call)


@contextlib.contextmanager
def moving_statistics() -> Iterator[None]:
    """Make `keras.layers.BatchNormalization` use its moving statistics inside, whatever `training` is.

    With the statistics of the batch, the gradient of one sample's score has components at all other samples.
    """
    before = _statistics.moving
    _statistics.moving = True
    try:
        with _batch_normalization:
            yield
    finally:
        _statistics.moving = before
