"""Windows: rectangles of a canvas, one a sample and all of one size, each at an origin of its own.

Origins are (B, 2) int32, the first row and column; edges are the number of rows and columns, each an int or a
scalar tensor.
"""

import tensorflow as tf


def bounding_box(mask):
    """The smallest rectangle that holds a mask.

    Args:
        mask: (B, H, W, 1).

    Returns:
        origin (B, 2) and number of rows and columns (B, 2), int32. An empty mask has no rows and columns and
        its origin at (H, W).
    """
    inside = mask[..., 0] != 0
    first, count = zip(*(_span(tf.reduce_any(inside, axis=axis)) for axis in (2, 1)))
    return tf.stack(first, axis=1), tf.stack(count, axis=1)


def _span(occupied):
    size = tf.shape(occupied)[1]
    place = tf.range(size)
    first = tf.reduce_min(tf.where(occupied, place, size), axis=1)
    last = tf.reduce_max(tf.where(occupied, place, -1), axis=1)
    return first, tf.maximum(last - first + 1, 0)


def edges_of(field):
    """Rows and columns of a field (B, …, rows, columns, C): ints where known, else scalar tensors."""
    return [field.shape[axis] or tf.shape(field)[axis] for axis in (-3, -2)]


def crop(field, origin, edges):
    """Fields (B, …, H, W, C) inside windows: (B, …, *edges, C)."""
    return shift(field, origin, edges)


def paste(field, origin, canvas):
    """Fields (B, …, rows, columns, C) inside windows as fields on a canvas (H, W), zero elsewhere."""
    return shift(field, -origin, canvas)


def shift(field, offset, edges):
    """Any rectangle of each field, zero where it leaves the field; differentiable any number of times.

    Args:
        field: (B, …, H, W, C).
        offset: (B, 2) int32, row and column of the rectangle's first pixel.
        edges: its rows and columns.

    Returns:
        (B, …, *edges, C).
    """
    size = edges_of(field)

    @tf.custom_gradient
    def shifted(field):
        # What was read from a place goes back there: a shift by as much the other way, and no scattering.
        return _read(field, size, offset, edges), lambda upstream: shift(upstream, -offset, size)

    return shifted(field)


def places(origin, edges):
    """Rows (B, rows) and columns (B, columns) of windows on their canvas."""
    # A slice of one column, not [:, i, tf.newaxis]: TensorFlow's graph optimiser drops the new axis of a
    # slice of a stack.
    return [origin[:, i : i + 1] + tf.range(edge) for i, edge in enumerate(edges)]


def inside_of(places, size):
    """Whether rows (B, h) and columns (B, w) lie in a field of some size: (B, h, w, 1)."""
    rows, columns = ((place >= 0) & (place < edge) for place, edge in zip(places, size))
    return (rows[:, :, tf.newaxis] & columns[:, tf.newaxis])[..., tf.newaxis]


def _read(field, size, offset, edges):
    wanted = places(offset, edges)
    inside = inside_of(wanted, size)
    for axis, (place, most) in enumerate(zip(wanted, size), start=len(field.shape) - 3):
        field = tf.gather(field, tf.clip_by_value(place, 0, most - 1), axis=axis, batch_dims=1)
    for _ in field.shape[1:-3]:
        inside = inside[:, tf.newaxis]
    return tf.where(inside, field, tf.zeros([], field.dtype))
