"""What a reward changed: a network compared with one that was trained in the same way without the reward."""

from typing import Any

from fgf_keras.results.arm import ArmResult
from fgf_keras.results.columns import BAR_METRICS, JOINT, QUANTITIES, share_column
from fgf_keras.results.interval import or_none


def reward_change(trained: ArmResult, baseline: ArmResult) -> dict[str, Any]:
    """`reward_change` in metrics.json: both networks on the same patients, and the paired differences.

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
    columns = [*BAR_METRICS]
    columns += [
        share_column(support, quantity, feature)
        for support in trained.supports
        for quantity in QUANTITIES
        for feature in (*trained.features, JOINT)
    ]
    metrics = {}
    for column in columns:
        mean, *ci = map(or_none, trained.minus(baseline, column))
        metrics[column] = {
            "without": or_none(without.metrics[column].mean),
            "with": or_none(with_reward.metrics[column].mean),
            "change": {"mean": mean, "ci": ci},
        }
    features = trained.features
    return {
        "part": with_reward.metrics.name,
        "n": with_reward.metrics.n,
        "support": trained.reward_support,
        "rewarded": [name for name in trained.rewarded if name in features],
        "penalised": [name for name in trained.reward.penalised(features) if name in features],
        "metrics": metrics,
    }
