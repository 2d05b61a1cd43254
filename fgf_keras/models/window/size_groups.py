"""Windows in groups of similar size: small tumours are not computed in the window of the largest one."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from fgf_keras.geometry.windows import bounding_box, crop, edges_of, placed_on, window_edges


class _Group(NamedTuple):
    """Neighbours in the order of size.

    Attributes:
        start, stop: their positions. An empty group has one sample nevertheless, because libraries do not
            compute convolutions of nothing.
        count: how many of them, from the last on, are not in another group.
    """

    start: tf.Tensor
    stop: tf.Tensor
    count: tf.Tensor


class SizeGroups:
    """The samples of a batch by the size of the rectangle that holds their mask: a half, and two quarters.

    Args:
        mask: (B, rows, columns, 1), in the windows that are to be cut.
    """

    def __init__(self, mask: tf.Tensor) -> None:
        first, counts = bounding_box(mask)
        self._order = tf.argsort(tf.reduce_prod(counts, axis=1), stable=True)
        self._inverse = tf.math.invert_permutation(self._order)
        self._first, self._counts = tf.gather(first, self._order), tf.gather(counts, self._order)
        size = tf.shape(mask)[0]
        sizes = [(size + 1) // 2, size - (size + 1) // 2 - size // 4, size // 4]
        stops = [tf.add_n(sizes[: i + 1]) for i in range(len(sizes))]
        self._groups = [
            _Group(tf.minimum(stop - count, size - 1), tf.maximum(stop, 1), count)
            for stop, count in zip(stops, sizes)
        ]

    def mapped(
        self,
        function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        window: tf.Tensor,
        origin: tf.Tensor,
    ) -> tf.Tensor:
        """A function of windows and their origins, of each group in the smallest windows that hold its masks.

        Args:
            function: returns (b, …) of a fixed shape per sample, the same for every window that holds the
                mask, as long as the image is zero outside the mask.
            window: (B, rows, columns, C). The result has no derivative in pixels outside the smaller windows.
            origin: (B, 2), of the windows on the canvas.
        """
        window = _permuted(window, self._order, self._inverse)
        origin = tf.gather(origin, self._order)
        edges = edges_of(window)
        results = []
        for start, stop, count in self._groups:
            smaller = window_edges(tf.reduce_max(self._counts[start:stop], axis=0), edges)
            place = placed_on(self._first[start:stop], smaller, edges)
            result = function(crop(window[start:stop], place, smaller), origin[start:stop] + place)
            results.append(result[stop - start - count :])
        return _permuted(tf.concat(results, axis=0), self._inverse, self._order)


def _permuted(field: tf.Tensor, order: tf.Tensor, inverse: tf.Tensor) -> tf.Tensor:
    """A field in another order; differentiable any number of times, without a scatter."""

    @tf.custom_gradient
    def permuted(field: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return tf.gather(field, order), lambda upstream: _permuted(upstream, inverse, order)

    return permuted(field)
