"""Means of quantities along a path that is known at its nodes: over chords of one or several edges."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from fgf_keras.geometry.products import inner

# Points of a chord at which quantities are observed: the gradient is constant on it, but features turn fast
# where intensities sum to nearly zero.
POINTS = 16
# Points that are observed together as long as they have no more pixels than this: small images cost little
# more together than one by one, and large ones would not fit into memory.
PIXELS_TOGETHER = 1 << 20
# Points observed together in graphs that must know how many they are.
KNOWN_TOGETHER = 8


class PathPoint(NamedTuple):
    """What is known at a point of each path.

    Attributes:
        image: (B, rows, columns, C), where `Observer.focus` looks.
        direction: (B, rows, columns, C), the part of the path's unit direction there: ∇z/‖∇z‖ up to its sign
            where the score is smooth; where the path slides along a kink, the mean direction of the chord.
        size: (B,), the squared norm of the direction over the whole support: 1.
        linear: (B, l), the `Observer.linear` functionals of the direction.
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
        controlled: how many of them, the first ones, must be accurate for a path to be accepted; all by
            default.
        focus: function of (fields (B, k, H, W, C), *context) to the same in smaller windows, and their
            context; by default all is looked at.
        linear: function of (directions (B, 1, H, W, C), *context) to (B, 1, l), linear in the direction:
            evaluated once for a chord.
    """

    observe: Callable[..., tf.Tensor]
    quantities: int
    controlled: int | None = None
    focus: Callable[..., tuple[tf.Tensor, tuple[tf.Tensor, ...]]] | None = None
    linear: Callable[..., tf.Tensor] | None = None


class Chords(NamedTuple):
    """Chords over `width` edges each, and the sums over those that are closed.

    A closed chord waits until the next one is half as long, and takes over what is left where the path ends
    before: no chord is short, because a short one has the directions of single edges.

    Attributes:
        closed: (B, H, W, C), start minus end of the chord that waits; zero for none.
        closed_drop: (B,), the score at its start minus that at its end.
        open: (B, H, W, C), the same of the chord that grows.
        open_drop: (B,).
        edges: (B,) int32, of the chord that grows.
        waits: (B,) bool, whether a chord waits.
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
        """Before the first edge."""
        field, zero = tf.zeros_like(image), tf.zeros_like(image[:, 0, 0, 0])
        sums = tf.zeros([tf.shape(image)[0], quantities], image.dtype)
        count = tf.zeros_like(zero, tf.int32)
        return cls(field, zero, field, zero, count, tf.zeros_like(zero, tf.bool), sums, sums, zero, zero)

    def extended(self, edge: tf.Tensor, drop: tf.Tensor, moved: tf.Tensor) -> "Chords":
        """The growing chord with an edge more, (B, H, W, C) and its drop; `moved` (B,) counts it as one."""
        return self._replace(
            open=self.open + edge,
            open_drop=self.open_drop + drop,
            edges=self.edges + tf.cast(moved, tf.int32),
        )

    def due(self, width: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
        """Which samples have a chord to observe now, (B,): a waiting one, or where it `ends` all the rest."""
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
        """After the due chords were observed: `means` (B, n) of the quantities, lengths and drops (B,)."""
        weight, rest = tf.cast(due, length.dtype), 1 - tf.cast(ends, length.dtype)
        length, drop = weight * length, weight * drop
        # A chord without length has no direction, and nothing to add.
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
        direction: (B, H, W, C), the chord made unit.
        context: tensors with a leading batch axis.
        compiled: in a graph for XLA, where the number of points observed together must be known.
    """
    dtype = end.dtype
    size = inner(direction, direction)
    linear = direction[:, 0, 0, :0]
    if observer.linear is not None:
        linear = observer.linear(direction[:, tf.newaxis], *context)[:, 0]
    fields = tf.stack([end, chord, direction], axis=1)
    if observer.focus is not None:
        fields, context = observer.focus(fields, *context)
    end, chord, direction = tf.unstack(fields, axis=1)
    if compiled:
        together = KNOWN_TOGETHER
    else:
        together = tf.clip_by_value(PIXELS_TOGETHER // tf.maximum(tf.size(end), 1), 1, POINTS)

    def add(first: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = together if compiled else tf.minimum(together, POINTS - first)
        index = first + tf.range(count)
        place = (tf.cast(index, dtype) + 0.5) / POINTS
        image = end + tf.reshape(place, [-1, 1, 1, 1, 1]) * chord
        point = PathPoint(_merged(image), *(_repeated(t, count) for t in (direction, size, linear)))
        values = tf.cast(observer.observe(point, *(_repeated(c, count) for c in context)), dtype)
        values = tf.reshape(values, tf.concat([[count], tf.shape(total)], axis=0))
        return first + count, total + tf.reduce_sum(values, axis=0)

    total = tf.zeros([tf.shape(end)[0], observer.quantities], dtype)
    _, total = tf.while_loop(
        lambda first, _: first < POINTS, add, (tf.constant(0), total), parallel_iterations=1
    )
    return total / POINTS


def per_sample(values: tf.Tensor, field: tf.Tensor) -> tf.Tensor:
    """Values (B,) in the shape of a field's samples, (B, 1, …)."""
    return tf.reshape(values, [-1] + [1] * (len(field.shape) - 1))


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
