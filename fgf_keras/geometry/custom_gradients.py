"""Custom gradients outlive the graphs that they are in, unless they are let go of."""

import contextlib
from collections.abc import Iterator

from tensorflow.python.framework import ops

# What `tf.custom_gradient` registers for each of its calls in a graph.
_PREFIX = "CustomGradient-"


@contextlib.contextmanager
def forgotten_custom_gradients() -> Iterator[None]:
    """Let go of the custom gradients of graphs that are traced inside.

    TensorFlow 2.21 registers each call of `tf.custom_gradient` in a graph for as long as the process lives,
    and what is registered holds the graph: tens of megabytes for each `explain`. Graphs that were traced
    inside can be run afterwards as before, and not be differentiated any more.
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
