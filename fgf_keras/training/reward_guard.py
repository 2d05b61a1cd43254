"""A guard over the task: it reduces the reward when the validation AUC falls."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import keras

from fgf_keras.errors import ModelError
from fgf_keras.training.reward_schedule import RewardSchedule

_log = logging.getLogger(__name__)
# Half the width of a 95 % interval, in standard errors.
_WIDTH = 1.96


class RewardGuard(keras.callbacks.Callback):
    """Multiplies the reward's weight by `factor` after each epoch in which the task suffers, and logs it.

    The task suffers if the upper end of the 95 % interval of the validation AUC is below 0.5, that is, if the
    score is inverted; or if the AUC is more than `tolerance` below that of a baseline at the same epoch.
    Epochs before the reward has its whole weight do not count. A training that recovers keeps the smaller
    weight.

    Args:
        schedule: of the reward, a callback of the same training.
        positive, negative: numbers of validation samples of each class.
        factor: between 0 and 1.
        tolerance: in AUC.
        baseline: validation AUC of a training without reward at each epoch; for later ones its last.
        monitor: key of the AUC in `logs`.

    Attributes:
        reductions: for each, `epoch` (from 1), `auc`, `high`, `baseline`, `factor` on λ from then on, and
            `reason`.

    Raises:
        ModelError: a class without samples, or a factor that reduces nothing.
    """

    def __init__(
        self,
        schedule: RewardSchedule,
        *,
        positive: int,
        negative: int,
        factor: float = 0.5,
        tolerance: float = 0.1,
        baseline: Sequence[float] | None = None,
        monitor: str = "val_auc",
    ) -> None:
        super().__init__()
        if min(positive, negative) < 1:
            raise ModelError(
                f"RewardGuard needs both classes in validation. Received: {positive} and {negative} samples."
            )
        if not 0 <= factor < 1:
            raise ModelError(f"RewardGuard needs 0 <= factor < 1. Received: factor={factor!r}.")
        self._schedule, self._counts = schedule, (positive, negative)
        self._factor, self._tolerance, self._monitor = factor, tolerance, monitor
        self._baseline = list(baseline or [])
        self.reductions: list[dict[str, Any]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Reduce the reward if the task suffers."""
        auc = (logs or {}).get(self._monitor)
        if auc is None or not math.isfinite(auc):
            return
        # Networks start with scores of either direction; the warm-up is there for the task to choose one.
        if self._schedule.scale(int(self.model.optimizer.iterations) - 1) < self._schedule.factor:
            return
        high = float(auc) + _WIDTH * auc_standard_error(float(auc), *self._counts)
        baseline = self._baseline[min(epoch, len(self._baseline) - 1)] if self._baseline else None
        if high < 0.5:
            reason = f"the validation AUC is below 0.5 with its 95 % interval ({auc:.3f}, at most {high:.3f})"
        elif baseline is not None and auc < baseline - self._tolerance:
            reason = (
                f"the validation AUC, {auc:.3f}, is more than {self._tolerance:g} below that of the "
                f"baseline, {baseline:.3f}"
            )
        else:
            return
        self._schedule.factor *= self._factor
        self.reductions.append(
            {
                "epoch": epoch + 1,
                "auc": float(auc),
                "high": high,
                "baseline": baseline,
                "factor": self._schedule.factor,
                "reason": reason,
            }
        )
        _log.warning("Epoch %d: %s. Reward reduced to %g λ.", epoch + 1, reason, self._schedule.factor)


def auc_standard_error(auc: float, positive: int, negative: int) -> float:
    """Standard error of an AUC from its value and the numbers of samples.

    Source: Hanley and McNeil (Radiology 1982), equation 1 with Q₁ = A/(2-A) and Q₂ = 2A²/(1+A).
    """
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positive - 1) * (one - auc**2) + (negative - 1) * (two - auc**2)
    return math.sqrt(max(variance, 0) / (positive * negative))
