"""The callbacks that a configured reward needs."""

import numpy as np

from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.training.reward_guard import RewardGuard
from fgf_keras.training.reward_schedule import RewardSchedule
from fgf_keras.training.start import baseline_auc


def reward_epochs(config: Config) -> tuple[int, int]:
    """Epochs without a reward, and those of its ramp."""
    reward, epochs = config.reward, config.train.epochs
    # Even a short training must have epochs with the full weight, or there would be none to choose from.
    return reward.start_epoch, min(reward.warmup_epochs, (epochs - reward.start_epoch) // 2)


def reward_schedule(config: Config, steps: int) -> RewardSchedule | None:
    """The schedule of the configured reward; None if it has its full weight all the time.

    Args:
        config: of the run.
        steps: in an epoch.
    """
    start, ramp = reward_epochs(config)
    guarded = config.reward.guard.factor is not None and config.reward.kind != "none"
    return RewardSchedule(steps * ramp, steps * start) if start or ramp or guarded else None


def reward_guard(
    config: Config, cohort: Cohort, splits: dict[str, np.ndarray], schedule: RewardSchedule | None
) -> RewardGuard | None:
    """The guard of the configured reward; None without a reward or with more than two classes.

    Args:
        config: of the run.
        cohort: patients.
        splits: positions in the cohort by the name of the part.
        schedule: of the reward.

    Raises:
        RunError: the baseline to compare with cannot be used.
    """
    guard = config.reward.guard
    if guard.factor is None or schedule is None or config.reward.kind == "none" or cohort.class_count != 2:
        return None
    labels, baseline = cohort.labels[splits["validation"]], None
    if guard.baseline is not None:
        # A training that begins where the baseline ended is not compared with how that began.
        best = config.reward.fine_tune is not None
        baseline = baseline_auc(guard.baseline, cohort, splits, best=best)
    return RewardGuard(
        schedule,
        positive=int(np.sum(labels == 1)),
        negative=int(np.sum(labels == 0)),
        factor=guard.factor,
        tolerance=guard.tolerance,
        baseline=baseline,
    )
