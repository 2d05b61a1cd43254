"""Windows: rectangles of a canvas, one per sample, all of the same size, each at its own origin.

Origins are (B, 2) int32, the first row and column; edges are the numbers of rows and columns, each an int or
a scalar tensor.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

# Edges of windows are multiples of this, px, because libraries choose their algorithms anew for every size.
GRAIN = 8
# Rows and columns.
Edges = Sequence[int | tf.Tensor]


def bounding_box(mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The smallest rectangle that holds a mask.

    Args:
        mask: (B, H, W, 1).

    Returns:
        origin (B, 2) and number of rows and columns (B, 2), int32. An empty mask has no rows or columns, and
        its origin is (H, W).
    """
    inside = mask[..., 0] != 0
    first, count = zip(*(_span(tf.reduce_any(inside, axis=axis)) for axis in (2, 1)))
    return tf.stack(first, axis=1), tf.stack(count, axis=1)


def window_around(mask: tf.Tensor) -> tuple[tf.Tensor, Edges]:
    """Windows of one common size, as small as possible, each of which holds a mask and lies on the canvas.

    Args:
        mask: (B, H, W, 1).

    Returns:
        origin (B, 2) and edges, two scalar tensors: multiples of `GRAIN`, or as long as the canvas.
    """
    first, counts = bounding_box(mask)
    canvas = edges_of(mask)
    edges = window_edges(tf.reduce_max(counts, axis=0), canvas)
    return placed_on(first, edges, canvas), edges


def window_edges(needed: tf.Tensor, canvas: Edges) -> Edges:
    """Edges of windows on a canvas that hold rectangles of up to `needed` (2,) rows and columns."""
    return tf.unstack(tf.minimum(-(-tf.maximum(needed, 1) // GRAIN) * GRAIN, canvas))


def placed_on(origin: tf.Tensor, edges: Edges, canvas: Edges) -> tf.Tensor:
    """Origins moved just far enough for windows of these edges to lie on the canvas."""
    return tf.clip_by_value(origin, 0, [size - edge for size, edge in zip(canvas, edges)])


def _span(occupied: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    size = tf.shape(occupied)[1]
    place = tf.range(size)
    first = tf.reduce_min(tf.where(occupied, place, size), axis=1)
    last = tf.reduce_max(tf.where(occupied, place, -1), axis=1)
    return first, tf.maximum(last - first + 1, 0)


def edges_of(field: tf.Tensor) -> Edges:
    """Rows and columns of a field (B, …, rows, columns, C): ints where known, else scalar tensors."""
    return [field.shape[axis] or tf.shape(field)[axis] for axis in (-3, -2)]


def crop(field: tf.Tensor, origin: tf.Tensor, edges: Edges) -> tf.Tensor:
    """Fields (B, …, H, W, C) inside windows that lie on them: (B, …, *edges, C)."""
    canvas = edges_of(field)

    @tf.custom_gradient
    def cropped(field: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return _gather(field, _places(origin, edges)), lambda upstream: paste(upstream, origin, canvas)

    return cropped(field)


def crop_one(field: tf.Tensor, origin: tf.Tensor, edges: Edges) -> tf.Tensor:
    """One field (H, W, C) inside all windows, which lie on it: (B, *edges, C)."""
    rows, columns = _places(origin, edges)
    return tf.gather(tf.gather(field, rows), columns, axis=2, batch_dims=1)


def paste(field: tf.Tensor, origin: tf.Tensor, canvas: Edges) -> tf.Tensor:
    """Fields (B, …, rows, columns, C) inside windows as fields on a canvas (H, W), zero elsewhere."""
    return shift(field, -origin, canvas)


def shift(field: tf.Tensor, offset: tf.Tensor, edges: Edges) -> tf.Tensor:
    """A rectangle of each field, zero where it leaves the field; differentiable any number of times.

    Args:
        field: (B, …, H, W, C).
        offset: (B, 2) int32, row and column of the rectangle's first pixel.
        edges: its rows and columns.

    Returns:
        (B, …, *edges, C).
    """
    size = edges_of(field)

    @tf.custom_gradient
    def shifted(field: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        # The derivative goes back to where the value was read: the opposite shift, without a scatter.
        return read(field), lambda upstream: shift(upstream, -offset, size)

    def read(field: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(field, [[0, 0]] * (len(field.shape) - 3) + [[1, 1], [1, 1], [0, 0]])
        # Pixels off the field are read from the zeros around it.
        places = zip(_places(offset + 1, edges), size)
        return _gather(padded, [tf.maximum(tf.minimum(place, edge + 1), 0) for place, edge in places])

    return shifted(field)


def inside(offset: tf.Tensor, edges: Edges, size: Edges) -> tf.Tensor:
    """Which pixels of the rectangles of `shift` lie on a field of some size: (B, *edges, 1)."""
    places = zip(_places(offset, edges), size)
    rows, columns = ((place >= 0) & (place < edge) for place, edge in places)
    return (rows[:, :, tf.newaxis] & columns[:, tf.newaxis])[..., tf.newaxis]


def _places(origin: tf.Tensor, edges: Edges) -> list[tf.Tensor]:
    """Rows (B, rows) and columns (B, columns) of rectangles."""
    # A slice of one column instead of [:, i, tf.newaxis]: TensorFlow's graph optimiser drops the new axis
    # when it slices a stack.
    return [origin[:, i : i + 1] + tf.range(edge) for i, edge in enumerate(edges)]


def _gather(field: tf.Tensor, places: Sequence[tf.Tensor]) -> tf.Tensor:
    for axis, place in enumerate(places, start=len(field.shape) - 3):
        field = tf.gather(field, place, axis=axis, batch_dims=1)
    return field
