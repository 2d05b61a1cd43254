"""A context that releases the custom gradients TensorFlow would keep for as long as the process lives."""

import contextlib
from collections.abc import Iterator

from tensorflow.python.framework import ops

# Start of the name that `tf.custom_gradient` registers for each of its calls in a graph.
_PREFIX = "CustomGradient-"


@contextlib.contextmanager
def forgotten_custom_gradients() -> Iterator[None]:
    """Release the custom gradients of graphs that are traced inside this context.

    TensorFlow 2.21 registers each call of `tf.custom_gradient` in a graph for as long as the process lives,
    and each entry keeps its graph in memory: tens of megabytes per `explain`. Graphs traced inside can still
    be run afterwards, but no longer be differentiated.
    """
    registry = getattr(ops.gradient_registry, "_registry", None)
    if registry is None:
        yield
        return
    before = set(registry)
    try:
        yield
    finally:
        for name in [name for name in registry if name not in before and name.startswith(_PREFIX)]:
            del registry[name]
