"""The weight of the reward in the course of training: none at first, then a ramp."""

from typing import Any

import keras

from fgf_keras.errors import ModelError


class RewardSchedule(keras.callbacks.Callback):
    """Raises λ linearly from 0 to its full value over some steps of an `AlignmentModel`.

    The factor on λ is `factor` · min(1, max(0, step - start) / ramp) in the given step. It follows the
    optimizer's own count of steps, so a training that is resumed continues where it stopped.

    Args:
        ramp: number of optimizer steps from the start until λ is full; 0 for the full λ at once.
        start: number of optimizer steps without a reward.

    Attributes:
        factor: 1, or less if a `RewardGuard` has reduced it.

    Raises:
        ModelError: negative numbers.

    Example:
        >>> model.fit(dataset, callbacks=[RewardSchedule(ramp=100)])
    """

    def __init__(self, ramp: int = 0, start: int = 0) -> None:
        super().__init__()
        if min(ramp, start) < 0:
            raise ModelError(f"RewardSchedule needs ramp and start >= 0. Received: {ramp} and {start}.")
        self.ramp, self.start, self.factor = ramp, start, 1.0

    def scale(self, step: int) -> float:
        """The factor on λ in a step."""
        since = step - self.start
        if since < 0:
            return 0.0
        return self.factor * (min(1.0, since / self.ramp) if self.ramp else 1.0)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the factor for this step."""
        self.model.reward_scale.assign(self.scale(int(self.model.optimizer.iterations)))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leave the model with the λ that the schedule ends with, for evaluation and saving."""
        self.model.reward_scale.assign(self.factor)
