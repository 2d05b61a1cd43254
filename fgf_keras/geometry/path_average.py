"""Means of quantities along a path that is known at the ends of its steps and once between them."""

from typing import NamedTuple

import tensorflow as tf

# Points of a step are observed together as long as they have no more pixels than this: small images cost
# little more together than one by one, and large ones would not fit into memory.
PIXELS_TOGETHER = 1 << 20
# Points of a step that are observed together in graphs that must know how many they are.
KNOWN_TOGETHER = 8


class PathPoint(NamedTuple):
    """What is known at a point of each path.

    Attributes:
        image: (B, rows, columns, C).
        gradient: (B, rows, columns, C), ∇z; image and gradient where `Observer.focus` looks.
        size: (B,) float64, ‖∇z‖² over the whole support.
        linear: (B, k), the `Observer.linear` functionals of ∇z.
    """

    image: tf.Tensor
    gradient: tf.Tensor
    size: tf.Tensor
    linear: tf.Tensor


class Observer(NamedTuple):
    """Quantities q (B, n) along paths, e.g. S of each feature.

    The gradient between the ends of a step is a parabola, so what is linear or quadratic in it is known from
    three gradients a step; only what is not needs the many points, and those only where it looks.

    Attributes:
        observe: function of (`PathPoint`, *context) to q (B, n); each sample's values depend on that sample
            alone.
        quantities: n.
        focus: function of (fields (B, k, H, W, C), *context) to the same in smaller windows, and their
            context; by default all is looked at.
        linear: function of (gradients (B, k, H, W, C), *context) to (B, k, l), linear in each gradient.
    """

    observe: object
    quantities: int
    focus: object = None
    linear: object = None


class PathAverage:
    """Sums of quantities along the paths of a batch, by Simpson's rule on evenly spaced points of each step.

    Between the ends of a step, x is on the cubic with their tangents, and the gradient on the parabola
    through those at the ends and one at half the step. So observing takes points, which may be many, and no
    gradients, which are dear: a path is smooth, but features turn fast where intensities sum to nearly zero.

    Args:
        observer: an `Observer`.
        steps: number of steps, an int32 tensor.
        observations: least number of intervals between the points of a path.
        compiled: in a graph for XLA, where the number of points observed together must be known.

    The sums are Σ w q/‖∇z‖ and Σ w q, stacked to (B, 2, n), and Σ w/‖∇z‖ (B,), with the weights w of
    Simpson's rule on [0, 1].
    """

    def __init__(self, observer, steps, observations, *, compiled=False):
        self._observer, self._steps, self._compiled = observer, steps, compiled
        # Simpson's rule needs an even number of intervals.
        self.intervals = 2 * -(-observations // (2 * steps))

    def nothing(self, like):
        """Sums over no steps, of the batch and type of a tensor (B,)."""
        return tf.zeros([tf.size(like), 2, self._observer.quantities], like.dtype), tf.zeros_like(like)

    def plus_step(self, ends, gradients, gram, context, sums):
        """The sums with those over one more step.

        Args:
            ends: images (B, H, W, C) at the start and at the end of the step, dx/dt at both, with t from 0 to
                1 over the step.
            gradients: (B, 3, H, W, C) at t = 0, ½ and 1.
            gram: (B, 3, 3) float64, their inner products.
            context: tensors with a leading batch axis.
            sums: those before.
        """
        dtype = ends[0].dtype
        fields = tf.concat([tf.stack(ends, axis=1), gradients], axis=1)
        linear = self._linear(gradients, context)
        if self._observer.focus is not None:
            fields, context = self._observer.focus(fields, *context)
        fields = tf.transpose(fields, [1, 0, 2, 3, 4])
        points = self.intervals + 1
        if self._compiled:
            together = KNOWN_TOGETHER
        else:
            together = tf.clip_by_value(PIXELS_TOGETHER // tf.maximum(tf.size(fields[0]), 1), 1, points)
        third = 1 / tf.cast(3 * self._steps * self.intervals, dtype)

        def add(first, *sums):
            count = together if self._compiled else tf.minimum(together, points - first)
            wanted = first + tf.range(count)
            # Points beyond the last stand for it, and count nothing.
            index = tf.minimum(wanted, self.intervals)
            weight = third * tf.cast(tf.where(wanted < points, simpson(index, self.intervals), 0), dtype)
            t = tf.cast(index, dtype) / tf.cast(self.intervals, dtype)
            basis = parabola(t)
            wide = tf.cast(basis, tf.float64)
            point = PathPoint(
                image=_merged(tf.tensordot(_cubic(t), fields[:4], 1)),
                gradient=_merged(tf.tensordot(basis, fields[4:], 1)),
                size=tf.maximum(tf.reshape(tf.einsum("pi,bij,pj->pb", wide, gram, wide), [-1]), 0),
                linear=_merged(tf.einsum("pi,bil->pbl", tf.cast(basis, linear.dtype), linear)),
            )
            tiled = [tf.tile(c, [count, *[1] * (len(c.shape) - 1)]) for c in context]
            found = self._weighted(point, tiled, weight)
            return first + count, *(a + b for a, b in zip(sums, found))

        return tf.while_loop(
            lambda first, *_: first < points, add, (tf.constant(0), *sums), parallel_iterations=1
        )[1:]

    def _linear(self, gradients, context):
        if self._observer.linear is None:
            return gradients[:, :, 0, 0, :0]
        return self._observer.linear(gradients, *context)

    def _weighted(self, point, context, weight):
        """Sums over p points of (p·B) images with p weights."""
        values = tf.cast(self._observer.observe(point, *context), weight.dtype)
        norm = tf.sqrt(tf.cast(point.size, weight.dtype))
        inverse_speed = tf.math.divide_no_nan(tf.ones_like(norm), norm)
        points = tf.size(weight)
        weighted = tf.reshape(inverse_speed, [points, -1]) * weight[:, tf.newaxis]
        values = tf.reshape(values, [points, -1, self._observer.quantities])
        both = tf.stack([weighted, weight[:, tf.newaxis] * tf.ones_like(weighted)], axis=2)
        return tf.einsum("pbk,pbn->bkn", both, values), tf.reduce_sum(weighted, axis=0)


def simpson(index, intervals):
    """Weights 1, 4, 2, …, 4, 1 of Simpson's rule at points of an even number of intervals, int32."""
    inner_weight = tf.where(tf.equal(index % 2, 0), 2, 4)
    return tf.where((index > 0) & (index < intervals), inner_weight, 1)


def _cubic(t):
    """Weights (p, 4) of the values at 0 and 1 and the slopes at 0 and 1."""
    return tf.stack(
        [(1 + 2 * t) * (1 - t) ** 2, t**2 * (3 - 2 * t), t * (1 - t) ** 2, -(t**2) * (1 - t)], axis=1
    )


def parabola(t):
    """Weights (p, 3) of the values at 0, ½ and 1, for t (p,) in [0, 1]."""
    return tf.stack([(1 - t) * (1 - 2 * t), 4 * t * (1 - t), t * (2 * t - 1)], axis=1)


def _merged(stack):
    """(p, B, …) as (p·B, …)."""
    shape = tf.shape(stack)
    merged = tf.reshape(stack, tf.concat([[shape[0] * shape[1]], shape[2:]], axis=0))
    return tf.ensure_shape(merged, [None, *stack.shape[2:]])
