"""Means of quantities along a path that is known at the ends of its steps and once between them."""

import tensorflow as tf

from fgf_keras.geometry.products import inner

# Points of a step are observed together as long as they have no more pixels than this: small images cost
# little more together than one by one, and large ones would not fit into memory.
PIXELS_TOGETHER = 1 << 20


class PathAverage:
    """Sums of quantities along the paths of a batch, by Simpson's rule on evenly spaced points of each step.

    Between the ends of a step, x is on the cubic with their tangents, and the gradient on the parabola through
    those at the ends and one at half the step. So observing takes points, which may be many, and no gradients,
    which are dear: a path is smooth, but features turn fast where the intensities sum to nearly zero.

    Args:
        observe: function of (image, gradient, *context) to quantities (B, n).
        context: tensors with a leading batch axis.
        steps: number of steps, an int32 tensor.
        observations: least number of points along the path.
        dtype: of the sums.

    The sums are Σ w q/‖∇z‖ and Σ w q, stacked to (B, 2, n), and Σ w/‖∇z‖ (B,), with the weights w of Simpson's
    rule on [0, 1].
    """

    def __init__(self, observe, context, steps, observations, dtype):
        self._observe, self._context, self._dtype = observe, context, dtype
        # Simpson's rule needs an even number of intervals.
        self._points = 2 * -(-observations // (2 * steps))
        self._third = 1 / tf.cast(3 * steps * self._points, dtype)

    def start(self, image, gradient):
        """The sums at the first point of the paths."""
        # Weights are 1, 4, 2, …, 4, 1 and each step counts its last point twice, as the middle of two.
        return self._observed(image, gradient, self._context, self._third[tf.newaxis])

    def end(self, image, gradient, sums):
        """The sums once the last point of the paths is known."""
        return _plus(sums, self._observed(image, gradient, self._context, -self._third[tf.newaxis]))

    def between(self, ends, gradients, sums):
        """The sums with the points of one more step.

        Args:
            ends: images (B, H, W, C) at the start and at the end of the step, dx/dt at both, with t from 0 to
                1 over the step.
            gradients: (B, H, W, C) at t = 0, ½ and 1.
            sums: those before.
        """
        ends, gradients = tf.stack(ends), tf.stack(gradients)
        together = tf.clip_by_value(PIXELS_TOGETHER // tf.maximum(tf.size(ends[0]), 1), 1, self._points)

        def add(first, *sums):
            count = tf.minimum(together, self._points - first)
            index = first + tf.range(count)
            t = tf.cast(index + 1, self._dtype) / tf.cast(self._points, self._dtype)
            weight = self._third * tf.where(tf.equal(index % 2, 0), tf.cast(4, self._dtype), 2)
            image, gradient = (
                _merged(tf.tensordot(basis, fields, 1))
                for basis, fields in ((_cubic(t), ends), (_parabola(t), gradients))
            )
            context = [tf.tile(c, [count, *[1] * (len(c.shape) - 1)]) for c in self._context]
            return first + count, *_plus(sums, self._observed(image, gradient, context, weight))

        return tf.while_loop(
            lambda first, *_: first < self._points, add, (tf.constant(0), *sums), parallel_iterations=1
        )[1:]

    def _observed(self, image, gradient, context, weight):
        """Sums over the p points of (p·B) images with p weights."""
        values = tf.cast(self._observe(image, gradient, *context), self._dtype)
        norm = tf.sqrt(tf.cast(inner(gradient, gradient), self._dtype))
        inverse_speed = tf.math.divide_no_nan(tf.ones_like(norm), norm)
        points = tf.size(weight)
        weighted = tf.reshape(inverse_speed, [points, -1]) * weight[:, tf.newaxis]
        values = tf.reshape(values, [points, -1, values.shape[-1]])
        both = tf.stack([weighted, weight[:, tf.newaxis] * tf.ones_like(weighted)], axis=2)
        return tf.einsum("pbk,pbn->bkn", both, values), tf.reduce_sum(weighted, axis=0)


def _cubic(t):
    """Weights (p, 4) of the values at 0 and 1 and the slopes at 0 and 1."""
    return tf.stack(
        [(1 + 2 * t) * (1 - t) ** 2, t**2 * (3 - 2 * t), t * (1 - t) ** 2, -(t**2) * (1 - t)], axis=1
    )


def _parabola(t):
    """Weights (p, 3) of the values at 0, ½ and 1."""
    return tf.stack([(1 - t) * (1 - 2 * t), 4 * t * (1 - t), t * (2 * t - 1)], axis=1)


def _merged(stack):
    """(p, B, …) as (p·B, …)."""
    shape = tf.shape(stack)
    merged = tf.reshape(stack, tf.concat([[shape[0] * shape[1]], shape[2:]], axis=0))
    return tf.ensure_shape(merged, [None, *stack.shape[2:]])


def _plus(a, b):
    return tuple(x + y for x, y in zip(a, b))
