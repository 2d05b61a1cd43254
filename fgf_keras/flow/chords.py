"""Means of quantities along a path known at its nodes, taken over chords of one or several edges."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from fgf_keras.geometry.products import inner, per_sample

# Points of a chord at which quantities are observed. The path's direction is constant on a chord, but feature
# gradients turn fast where intensities sum to nearly zero.
POINTS = 16
# Most pixels of the points that are observed together: small images cost little more together than one by
# one, and large ones would not fit into memory.
PIXELS_TOGETHER = 1 << 20
# Points observed together in graphs in which their number must be static.
KNOWN_TOGETHER = 8


class PathPoint(NamedTuple):
    """One point of each path, as observers see it.

    Attributes:
        image: (B, rows, columns, C), inside the windows of `Observer.focus`.
        direction: (B, rows, columns, C), the path's unit direction inside these windows: ∇z/‖∇z‖ up to its
            sign where the score is smooth; the mean direction of the chord where the path slides along a
            kink.
        size: (B,), the squared norm of the direction over the whole support: 1.
        linear: (B, l), the values of `Observer.linear` for the direction.
    """

    image: tf.Tensor
    direction: tf.Tensor
    size: tf.Tensor
    linear: tf.Tensor


class Observer(NamedTuple):
    """Quantities q (B, n) along paths, e.g. S of each feature.

    Attributes:
        observe: function of (`PathPoint`, *context) to q (B, n); each sample's values depend on that sample
            alone.
        quantities: n.
        controlled: how many of the quantities, counted from the first, must be accurate for a path to be
            accepted; all by default.
        focus: function of (fields (B, k, H, W, C), *context) to the same fields in smaller windows and the
            context there; by default the whole fields are observed.
        linear: function of (directions (B, 1, H, W, C), *context) to (B, 1, l), linear in the direction:
            evaluated once per chord.
    """

    observe: Callable[..., tf.Tensor]
    quantities: int
    controlled: int | None = None
    focus: Callable[..., tuple[tf.Tensor, tuple[tf.Tensor, ...]]] | None = None
    linear: Callable[..., tf.Tensor] | None = None


class Chords(NamedTuple):
    """Chords of `width` edges each, and the sums over those that have been observed.

    A closed chord waits until the next one is half as long, and absorbs the rest if the path ends before
    that. So no chord is short; a short one would have the directions of single edges.

    Attributes:
        closed: (B, H, W, C), start minus end of the closed chord that waits; zero for none.
        closed_drop: (B,), the score at its start minus that at its end.
        open: (B, H, W, C), start minus end of the chord that is growing.
        open_drop: (B,), the drop of the score along that one.
        edges: (B,) int32, number of edges of the growing chord.
        waits: (B,) bool, whether a closed chord waits.
        arc_sum, score_sum: (B, n), Σ q·length and Σ q·drop.
        length, drop: (B,), Σ length and Σ drop.
    """

    closed: tf.Tensor
    closed_drop: tf.Tensor
    open: tf.Tensor
    open_drop: tf.Tensor
    edges: tf.Tensor
    waits: tf.Tensor
    arc_sum: tf.Tensor
    score_sum: tf.Tensor
    length: tf.Tensor
    drop: tf.Tensor

    @classmethod
    def none(cls, image: tf.Tensor, quantities: int) -> "Chords":
        """The state before the first edge."""
        field, zero = tf.zeros_like(image), tf.zeros([tf.shape(image)[0]], image.dtype)
        sums = tf.zeros([tf.shape(image)[0], quantities], image.dtype)
        count = tf.zeros_like(zero, tf.int32)
        return cls(field, zero, field, zero, count, tf.zeros_like(zero, tf.bool), sums, sums, zero, zero)

    def extended(self, edge: tf.Tensor, drop: tf.Tensor, moved: tf.Tensor) -> "Chords":
        """The state with one more edge (B, H, W, C) and its drop (B,), counted where `moved` (B,) is set."""
        return self._replace(
            open=self.open + edge,
            open_drop=self.open_drop + drop,
            edges=self.edges + tf.cast(moved, tf.int32),
        )

    def due(self, width: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
        """Which samples have a chord to observe now, (B,): the waiting one, or the rest if a path `ends`."""
        return (self.waits & (self.edges >= (width + 1) // 2)) | ends

    def chord(self, ends: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Start minus end of the chord to observe, and its drop."""
        rest = tf.cast(ends, self.open.dtype)
        return self.closed + per_sample(rest, self.open) * self.open, self.closed_drop + rest * self.open_drop

    def observed(
        self,
        due: tf.Tensor,
        ends: tf.Tensor,
        means: tf.Tensor,
        length: tf.Tensor,
        drop: tf.Tensor,
        width: tf.Tensor,
    ) -> "Chords":
        """The state after observing the due chords: `means` (B, n) of quantities, lengths and drops (B,)."""
        weight, rest = tf.cast(due, length.dtype), 1 - tf.cast(ends, length.dtype)
        length, drop = weight * length, weight * drop
        # A chord of length zero has no direction and adds nothing.
        means = tf.where((due & (length > 0))[:, tf.newaxis], means, tf.zeros_like(means))
        after = self._replace(
            closed=per_sample(1 - weight, self.closed) * self.closed,
            closed_drop=(1 - weight) * self.closed_drop,
            open=per_sample(rest, self.open) * self.open,
            open_drop=rest * self.open_drop,
            edges=tf.where(ends, 0, self.edges),
            waits=self.waits & ~due,
            arc_sum=self.arc_sum + length[:, tf.newaxis] * means,
            score_sum=self.score_sum + drop[:, tf.newaxis] * means,
            length=self.length + length,
            drop=self.drop + drop,
        )
        return after._closing(width)

    def _closing(self, width: tf.Tensor) -> "Chords":
        full = self.edges >= width
        remaining = tf.cast(~full, self.open.dtype)
        return self._replace(
            closed=self.closed + per_sample(1 - remaining, self.open) * self.open,
            closed_drop=self.closed_drop + (1 - remaining) * self.open_drop,
            open=per_sample(remaining, self.open) * self.open,
            open_drop=remaining * self.open_drop,
            edges=tf.where(full, 0, self.edges),
            waits=self.waits | full,
        )

    def means(self) -> tf.Tensor:
        """∫ q ds/∫ ds and ∫ q dτ, (B, 2, n)."""
        both = [
            tf.math.divide_no_nan(total, size[:, tf.newaxis])
            for total, size in ((self.arc_sum, self.length), (self.score_sum, self.drop))
        ]
        return tf.stack(both, axis=1)


def observe_chord(
    observer: Observer,
    end: tf.Tensor,
    chord: tf.Tensor,
    direction: tf.Tensor,
    context: Sequence[tf.Tensor],
    *,
    compiled: bool = False,
) -> tf.Tensor:
    """The mean of the quantities over evenly spaced points of a chord, (B, n).

    Args:
        observer: an `Observer`.
        end: (B, H, W, C), where the chord ends.
        chord: (B, H, W, C), its start minus its end.
        direction: (B, H, W, C), the chord normalised to unit length.
        context: tensors with a leading batch axis.
        compiled: in a graph for XLA, where the number of points observed together must be static.
    """
    dtype = end.dtype
    size = inner(direction, direction)
    linear = tf.zeros([tf.shape(direction)[0], 0], dtype)
    if observer.linear is not None:
        linear = observer.linear(direction[:, tf.newaxis], *context)[:, 0]
    fields = tf.stack([end, chord, direction], axis=1)
    if observer.focus is not None:
        fields, context = observer.focus(fields, *context)
    end, chord, direction = tf.unstack(fields, axis=1)
    if compiled:
        portion = KNOWN_TOGETHER
    else:
        portion = tf.clip_by_value(PIXELS_TOGETHER // tf.maximum(tf.size(end), 1), 1, POINTS)

    def add(first: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = portion if compiled else tf.minimum(portion, POINTS - first)
        index = first + tf.range(count)
        place = (tf.cast(index, dtype) + 0.5) / POINTS
        image = end + tf.reshape(place, [-1, *[1] * len(end.shape)]) * chord
        point = PathPoint(_merged(image), *(_repeated(t, count) for t in (direction, size, linear)))
        values = tf.cast(observer.observe(point, *(_repeated(c, count) for c in context)), dtype)
        values = tf.reshape(values, tf.concat([[count], tf.shape(total)], axis=0))
        return first + count, total + tf.reduce_sum(values, axis=0)

    total = tf.zeros([tf.shape(end)[0], observer.quantities], dtype)
    _, total = tf.while_loop(
        lambda first, _: first < POINTS, add, (tf.constant(0), total), parallel_iterations=1
    )
    return total / POINTS


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that the graphs of a path call in several places, traced only once."""
    return tf.function(function, autograph=False, reduce_retracing=True)


def where_set(mask: tf.Tensor, new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
    """Samples of `new` where the mask (B,) is set, of `old` elsewhere."""
    return tf.where(per_sample(mask, new), new, old)


def _repeated(tensor: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    return tf.tile(tensor, [count, *[1] * (len(tensor.shape) - 1)])


def _merged(stack: tf.Tensor) -> tf.Tensor:
    """(p, B, …) as (p·B, …)."""
    shape = tf.shape(stack)
    merged = tf.reshape(stack, tf.concat([[shape[0] * shape[1]], shape[2:]], axis=0))
    return tf.ensure_shape(merged, [None, *stack.shape[2:]])
