"""What a reward changed: a network compared with one that was trained in the same way without the reward."""

from typing import Any

import numpy as np

from fgf_keras.results.arm import ArmResult
from fgf_keras.results.columns import BAR_METRICS, JOINT, QUANTITIES, share_column


def reward_change(trained: ArmResult, baseline: ArmResult) -> dict[str, Any]:
    """The content of reward_change.json: both networks on the same patients, and the paired differences.

    Args:
        trained: one trial of the network with its reward.
        baseline: one trial of the network without.

    Returns:
        {"part", "n", "support": of the reward, or else the first one, "rewarded" and "penalised": of the
        measured features, "metrics": {column: {"without", "with", "change": {"mean", "ci"}}}} for the AUC,
        balanced accuracy, and S and F of each feature and of all together on each support; None where
        undefined. Intervals are over patients, for AUC and balanced accuracy resampled within each class.
    """
    (with_reward,), (without,) = trained.trials.values(), baseline.trials.values()
    columns = [*reversed(BAR_METRICS)]
    columns += [
        share_column(support, quantity, feature)
        for support in trained.supports
        for quantity in QUANTITIES
        for feature in (*trained.features, JOINT)
    ]
    metrics = {}
    for column in columns:
        difference = trained.minus(baseline, column)
        metrics[column] = {
            "without": _json(without.metrics[column].mean),
            "with": _json(with_reward.metrics[column].mean),
            "change": {"mean": _json(difference.mean), "ci": [_json(difference.low), _json(difference.high)]},
        }
    reward, features = trained.reward, trained.features
    return {
        "part": with_reward.metrics.name,
        "n": with_reward.metrics.n,
        "support": reward.support if reward.support in trained.supports else trained.supports[0],
        "rewarded": [name for name in reward.rewarded(features) if name in features],
        "penalised": [name for name in reward.penalised(features) if name in features],
        "metrics": metrics,
    }


def _json(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
