"""Checks of runs and comparisons for the known ways in which alignment can mislead, with remedies."""

from typing import Any

from fgf_keras.config import Config, EvaluateConfig
from fgf_keras.config.reward import RewardConfig
from fgf_keras.results.arm import ArmResult, TrialResult
from fgf_keras.results.failures import (
    Finding,
    accuracy_lost_to_reward,
    below_its_bar,
    poor_alignment_despite_accuracy,
    reward_without_gain,
    unstable_alignment,
)
from fgf_keras.results.reward_change import reward_change

# Of a single run: the same training without the reward.
BASELINE = "without the reward"

# Title and remedy of each signature by its name, in the order of the report.
SIGNATURES = {
    "poor_alignment_despite_accuracy": (
        "poor alignment despite good accuracy",
        "the model uses something that the features do not name: look at the pictures, add features "
        "(texture, margin, position), compare the other support, or reward the features",
    ),
    "accuracy_lost_to_reward": (
        "accuracy lost to a reward too large",
        "a smaller reward.weight, chosen with fgf sweep, and more reward.warmup_epochs; an AUC far below 0.5 "
        "is a score that the reward has kept from inverting",
    ),
    "below_its_bar": (
        "a network that does not clear its bar",
        "use the regression, or give the network what it knows: more or other inputs, fewer weights, more "
        "regularisation; what the network reacts to is of little interest if numbers do as well",
    ),
    "unstable_alignment": (
        "alignment undefined or unstable for many patients",
        "sort patients.csv by gradient_norm and read S and F without the patients at its end; train less "
        "long or with a smaller reward.weight, with elu rather than relu",
    ),
    "reward_without_gain": (
        "a reward that raised S and no more",
        "reward features that move the score more (behaviour.json has their effects), unless readable "
        "gradients are all that is wanted: this reward has turned gradients, not decisions",
    ),
}


def run_findings(
    result: TrialResult,
    reward: RewardConfig,
    features: list[str],
    settings: EvaluateConfig,
    *,
    seed: int,
    baseline: TrialResult | None = None,
) -> list[dict[str, Any]]:
    """The findings of a single run, as in findings.json.

    Args:
        result: of the model.
        reward: how the model was trained.
        features: names of the measured features.
        settings: the group `evaluate` of the configuration.
        seed: of the intervals.
        baseline: the same training without the reward, on the same patients; None if there is none.
    """
    trained = _arm("", reward, features, {"": result}, settings, seed)
    reference = None
    if baseline is not None:
        reference = _arm(BASELINE, reward.off, features, {"": baseline}, settings, seed)
    return _of_arm(trained, reference, None)


def run_reward_change(
    result: TrialResult,
    baseline: TrialResult,
    reward: RewardConfig,
    features: list[str],
    settings: EvaluateConfig,
    *,
    seed: int,
) -> dict[str, Any]:
    """What the reward of a single run changed, see `reward_change`; arguments as of `run_findings`."""
    return reward_change(
        _arm("", reward, features, {"": result}, settings, seed),
        _arm(BASELINE, reward.off, features, {"": baseline}, settings, seed),
    )


def comparison_findings(
    config: Config, trials: dict[tuple[str, str], TrialResult | None]
) -> list[dict[str, Any]]:
    """The findings of every arm of a comparison, as in findings.json.

    The baseline is the first arm without a reward, the placebo the first arm in which only a random feature
    is rewarded.

    Args:
        config: of the comparison.
        trials: results by (name of the split, name of the arm); None for a failed trial.
    """
    arms = arm_results(config, trials)
    baseline = next((arm for arm in arms if not arm.has_reward and arm.trials), None)
    placebo = next((arm for arm in arms if arm.is_placebo and arm.trials), None)
    return [finding for arm in arms for finding in _of_arm(arm, baseline, placebo)]


def arm_results(config: Config, trials: dict[tuple[str, str], TrialResult | None]) -> list[ArmResult]:
    """The arms of a comparison with the results of their trials, see `comparison_findings`."""
    features = [feature.name for feature in config.features]
    arms = []
    for arm in config.arms:
        of_arm = {split: trial for (split, name), trial in trials.items() if trial and name == arm.name}
        arms.append(_arm(arm.name, arm.reward, features, of_arm, config.evaluate, config.seed))
    return arms


def _arm(
    name: str,
    reward: RewardConfig,
    features: list[str],
    trials: dict[str, TrialResult],
    settings: EvaluateConfig,
    seed: int,
) -> ArmResult:
    return ArmResult(name, reward, features, trials, settings.confidence, settings.bootstrap, seed)


def _of_arm(arm: ArmResult, baseline: ArmResult | None, placebo: ArmResult | None) -> list[dict[str, Any]]:
    checks = {
        "poor_alignment_despite_accuracy": lambda: poor_alignment_despite_accuracy(arm),
        "accuracy_lost_to_reward": lambda: accuracy_lost_to_reward(arm, baseline),
        "below_its_bar": lambda: below_its_bar(arm),
        "unstable_alignment": lambda: unstable_alignment(arm),
        "reward_without_gain": lambda: reward_without_gain(arm, baseline, placebo),
    }
    # The baseline and the placebo are references: they have no accuracy to lose, or no gain to show.
    if arm.name and not arm.has_reward:
        del checks["accuracy_lost_to_reward"]
    # Not asked for, or a run of an earlier version.
    if not any(trial.metrics.bars for trial in arm.trials.values()):
        del checks["below_its_bar"]
    if arm.name and (arm.is_placebo or not arm.rewarded):
        del checks["reward_without_gain"]
    findings = []
    for name, check in checks.items():
        finding = check() if arm.trials else Finding(None, "every training of it failed")
        title, remedy = SIGNATURES[name]
        title += f" ({arm.name})" if arm.name else ""
        findings.append({"name": name, "title": title, **finding._asdict(), "try": remedy})
    return findings
