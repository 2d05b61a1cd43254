"""What is replaced in TensorFlow and Keras while a classifier is called for its input gradient."""

import contextlib
import functools
import threading
from typing import Any

import keras
import tensorflow as tf


class _Replacement:
    """A context that puts one function in the place of another, for as long as anybody is inside.

    Threads that are not inside see the replacement too, so it must be right for them as well.
    """

    def __init__(self, owner, name, replacement):
        self._owner, self._name, self._replacement = owner, name, replacement
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                self._original = getattr(self._owner, self._name)
                setattr(self._owner, self._name, self._replacement)
            self._inside += 1

    def __exit__(self, *error):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                setattr(self._owner, self._name, self._original)


def _moments(x, axes, shift=None, keepdims=False, name=None):
    """`tf.nn.moments` without its `stop_gradient` on the mean: the same values."""
    del shift
    with tf.name_scope(name or "moments"):
        x = tf.convert_to_tensor(x)
        # As TensorFlow: statistics of float16 would overflow.
        wide = tf.cast(x, tf.float32) if x.dtype == tf.float16 else x
        mean = tf.reduce_mean(wide, axes, keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(wide, mean), axes, keepdims=True)
        if not keepdims:
            mean, variance = tf.squeeze(mean, axes), tf.squeeze(variance, axes)
        return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)


# TensorFlow treats the mean as a constant in the variance. Its first derivative does not notice, because
# Σ(x - mean) = 0; the second one lacks a term, and with it the reward's gradient through every layer, group
# and batch normalisation. Reentrant, and the same for every thread: values and first derivatives are equal.
exact_moments = _Replacement(tf.nn, "moments", _moments)


class _Statistics(threading.local):
    moving = False


_statistics = _Statistics()
_call_batch_normalization = keras.layers.BatchNormalization.call


@functools.wraps(_call_batch_normalization)
def _call(self, inputs, training=None, mask=None):
    training = False if _statistics.moving else training
    return _call_batch_normalization(self, inputs, training=training, mask=mask)


_batch_normalization = _Replacement(keras.layers.BatchNormalization, "call", _call)


@contextlib.contextmanager
def moving_statistics() -> Any:
    """`keras.layers.BatchNormalization` uses its moving statistics inside, whatever `training` says.

    With the statistics of the batch, the gradient of one sample's score has parts at all other samples.
    """
    before = _statistics.moving
    _statistics.moving = True
    try:
        with _batch_normalization:
            yield
    finally:
        _statistics.moving = before
