"""The warm-up of the reward at the start of training."""

from typing import Any

import keras

from fgf_keras.errors import ModelError


class RewardWarmup(keras.callbacks.Callback):
    """Raises λ linearly from 0 to its full value over the first steps of an `AlignmentModel`.

    The factor min(1, step / steps) follows the optimizer's own count of steps, so a training that is resumed
    continues where it stopped.

    Args:
        steps: number of optimizer steps until λ is full.

    Example:
        >>> model.fit(dataset, callbacks=[RewardWarmup(steps=100)])
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        if steps < 1:
            raise ModelError(f"RewardWarmup needs steps >= 1. Received: steps={steps!r}.")
        self.steps = steps

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the factor for this step."""
        self.model.reward_scale.assign(min(1.0, int(self.model.optimizer.iterations) / self.steps))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leave the model with its full λ, for evaluation and saving."""
        self.model.reward_scale.assign(1.0)
