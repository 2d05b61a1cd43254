"""The sum of the weight gradients of task and reward, in which the reward cannot outweigh the task."""

from collections.abc import Sequence

import tensorflow as tf

from fgf_keras.errors import ModelError


class Combination:
    """How the weight gradients of task and reward are added.

    With t the gradient of the task loss and r that of minus the reward, over all weights together:
    `project_conflicts` replaces r by r - min(0, ⟨r, t⟩)/‖t‖² t, which no longer raises the task loss; then
    `max_ratio` multiplies it by min(1, max_ratio ‖t‖/‖r‖).

    Args:
        max_ratio: largest norm of the reward's gradient as a multiple of the task's.
        project_conflicts: whether to leave out the component that opposes the task's gradient.

    Raises:
        ModelError: a ratio that is not above 0.

    Source: the projection is that of Yu et al., Gradient Surgery (NeurIPS 2020), applied to the reward alone.
    """

    def __init__(self, max_ratio: float, project_conflicts: bool) -> None:
        if not max_ratio > 0:
            raise ModelError(
                f"max_ratio must be > 0, or inf for no limit. Received: max_ratio={max_ratio!r}."
            )
        self._max_ratio, self._project = max_ratio, project_conflicts

    @property
    def is_active(self) -> bool:
        """Whether the two gradients have to be computed one by one."""
        return self._project or self._max_ratio < float("inf")

    def __call__(
        self, task: Sequence[tf.Tensor | None], reward: Sequence[tf.Tensor | None]
    ) -> list[tf.Tensor | None]:
        """The gradient to apply, in every replica that replica's part of it.

        Args:
            task: gradients of the task loss with respect to each weight; None for weights it does not have.
            reward: those of minus the reward.
        """
        t, r = ([None if g is None else tf.convert_to_tensor(g) for g in part] for part in (task, reward))
        # Norms are those of the gradients of all replicas together, so that their number does not matter.
        whole_t, whole_r = _over_replicas(t), _over_replicas(r)
        tt, rr, tr = (
            tf.cast(_inner(*pair), tf.float64)
            for pair in ((whole_t, whole_t), (whole_r, whole_r), (whole_t, whole_r))
        )
        # The reward's gradient is replaced by factor · (r - along · t).
        along = tf.minimum(tf.math.divide_no_nan(tr, tt), 0) if self._project else tf.zeros_like(tt)
        squared = tf.maximum(rr - 2 * along * tr + along**2 * tt, 0)
        factor = tf.ones_like(tt)
        if self._max_ratio < float("inf"):
            # Where the reward's gradient is 0 there is nothing to limit.
            limit = tf.math.divide_no_nan(self._max_ratio * tf.sqrt(tt), tf.sqrt(squared))
            factor = tf.where(squared > 0, tf.minimum(limit, 1), 1)
        return [_sum(_scaled(a, 1 - factor * along), _scaled(b, factor)) for a, b in zip(t, r)]


def _inner(a: Sequence[tf.Tensor | None], b: Sequence[tf.Tensor | None]) -> tf.Tensor:
    pairs = [(x, y) for x, y in zip(a, b) if x is not None and y is not None]
    # Half precision would overflow.
    dtype = tf.float64 if any(x.dtype == tf.float64 for x, _ in pairs) else tf.float32
    parts = [tf.reduce_sum(tf.cast(x, dtype) * tf.cast(y, dtype)) for x, y in pairs]
    return tf.add_n(parts) if parts else tf.zeros([], dtype)


def _over_replicas(gradients: Sequence[tf.Tensor | None]) -> list[tf.Tensor | None]:
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return list(gradients)
    known = [g for g in gradients if g is not None]
    context = tf.distribute.get_replica_context()
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, known) if known else [])
    return [None if g is None else next(sums) for g in gradients]


def _scaled(gradient: tf.Tensor | None, factor: tf.Tensor) -> tf.Tensor | None:
    return None if gradient is None else gradient * tf.cast(factor, gradient.dtype)


def _sum(a: tf.Tensor | None, b: tf.Tensor | None) -> tf.Tensor | None:
    return a if b is None else b if a is None else a + b
