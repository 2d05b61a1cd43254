"""What evaluation recognises as a failure, which of them were found, and what to try."""

import pandas as pd
import rich.console
import rich.text

from fgf_keras.config import Config, EvaluateConfig
from fgf_keras.config_protocol import RewardConfig
from fgf_keras.evaluation.failure_signatures import (
    Finding,
    accuracy_lost_to_reward,
    poor_alignment_despite_accuracy,
    reward_without_gain,
    unstable_alignment,
)
from fgf_keras.evaluation.measured_arm import Measured, MeasuredArm
from fgf_keras.run_folder import read_json, write_json
from fgf_keras.trial import trials_of

# Name, title and remedy of each signature, in the order of reports.
_SIGNATURES = {
    "poor_alignment_despite_accuracy": (
        "poor alignment despite good accuracy",
        "the model uses something that the features do not name: look at the pictures, add features "
        "(texture, margin, position), compare the other support, or reward the features",
    ),
    "accuracy_lost_to_reward": (
        "accuracy lost to a reward too large",
        "a smaller reward.weight, chosen with fgf sweep, and more reward.warmup_epochs; an AUC far below 0.5 "
        "is a score that the reward has kept from turning round",
    ),
    "unstable_alignment": (
        "alignment undefined or unstable for many patients",
        "sort patients.csv by gradient_norm and read S and F without the patients at its end; train less "
        "long or with a smaller reward.weight, with elu rather than relu",
    ),
    "reward_without_gain": (
        "no gain from a reward on features that do not matter",
        "reward features that move the score (behaviour.json has their effects), or leave the reward out: it "
        "has turned gradients, not decisions",
    ),
}


def run_findings(
    measured: Measured, reward: RewardConfig, features: list[str], settings: EvaluateConfig, *, seed: int
) -> list[dict]:
    """The findings of a run that is compared with nothing, as findings.json holds them.

    Args:
        measured: its model.
        reward: how it was trained.
        features: names of the measured features.
        settings: the section `evaluate` of its configuration.
        seed: of intervals.
    """
    return _of_arm(_arm("", reward, features, {"": measured}, settings, seed), None, None)


def comparison_findings(config: Config, trials: dict) -> list[dict]:
    """The findings of every arm of a comparison, as findings.json holds them.

    The baseline is the first arm without a reward, the placebo the first that is rewarded on a random feature
    alone.

    Args:
        config: of the comparison.
        trials: `Measured` by (name of the split of the cohort, arm); None for one that failed.
    """
    features = [feature.name for feature in config.features]
    arms = []
    for arm in config.arms:
        own = {split: trial for (split, name), trial in trials.items() if trial and name == arm.name}
        arms.append(_arm(arm.name, arm.reward, features, own, config.evaluate, config.seed))
    baseline = next((arm for arm in arms if not arm.rewarded and arm.trials), None)
    placebo = next((arm for arm in arms if arm.is_placebo and arm.trials), None)
    return [finding for arm in arms for finding in _of_arm(arm, baseline, placebo)]


def report_comparison_findings(config: Config, metrics_by_trial: dict, folder, where: str, split: str):
    """Write findings.json of a comparison from the files of its trials.

    Args:
        config: of the comparison.
        metrics_by_trial: content of metrics.json by (name of the split of the cohort, arm).
        folder: `RunFolder` of the comparison.
        where: the folder inside each trial's, and inside this, that evaluations are in.
        split: which part counts.

    Returns:
        What to print.
    """
    trials = {}
    for trial in trials_of(config):
        key = (trial.split, trial.arm.name)
        directory = trial.folder(folder).path / where
        metrics = metrics_by_trial[key]
        trials[key] = metrics and _read(directory, metrics, split)
    found = comparison_findings(config, trials)
    write_json(folder.path / where / "findings.json", {"findings": found})
    return findings_terminal(found)


def findings_terminal(findings: list[dict]) -> rich.console.Group:
    """What was found, with figures and remedy; the rest in a line each."""
    lines = [
        rich.text.Text.assemble((f"Found: {each['title']}. ", "bold"), f"{each['why']}. Try: {each['try']}.")
        for each in findings
        if each["found"]
    ]
    absent = [each for each in findings if each["found"] is False]
    if absent:
        lines.append(rich.text.Text(f"Checked, not found: {_listed(absent)}."))
    unknown = {}
    for each in findings:
        if each["found"] is None:
            unknown.setdefault(each["why"], []).append(each)
    for why, those in unknown.items():
        lines.append(rich.text.Text(f"Cannot be checked: {_listed(those)}, because {why}."))
    return rich.console.Group(*lines)


def _listed(findings):
    """Titles, each once with the arms that it is about."""
    arms = {}
    for each in findings:
        title = _SIGNATURES[each["name"]][0]
        arms.setdefault(title, []).append(each["title"].removeprefix(title).strip(" ()"))
    return "; ".join(title + (f" ({', '.join(of)})" if any(of) else "") for title, of in arms.items())


def _arm(name, reward, features, trials, settings, seed):
    return MeasuredArm(name, reward, features, trials, settings.confidence, settings.bootstrap, seed)


def _of_arm(arm, baseline, placebo):
    checks = {
        "poor_alignment_despite_accuracy": lambda: poor_alignment_despite_accuracy(arm),
        "accuracy_lost_to_reward": lambda: accuracy_lost_to_reward(arm, baseline),
        "unstable_alignment": lambda: unstable_alignment(arm),
        "reward_without_gain": lambda: reward_without_gain(arm, baseline, placebo),
    }
    # Arms that others are compared with have nothing to lose, or to gain.
    if arm.name and not arm.rewarded:
        del checks["accuracy_lost_to_reward"]
    if arm.name and (arm.is_placebo or not arm.rewarded):
        del checks["reward_without_gain"]
    found = []
    for name, check in checks.items():
        finding = check() if arm.trials else Finding(None, "every training of it failed")
        title, remedy = _SIGNATURES[name]
        title += f" ({arm.name})" if arm.name else ""
        found.append({"name": name, "title": title, **finding._asdict(), "try": remedy})
    return found


def _read(directory, metrics, split):
    patients = pd.read_csv(directory / "patients.csv", index_col="patient_id", dtype={"patient_id": str})
    behaviour = directory / "behaviour.json"
    return Measured(
        metrics,
        patients[patients["split"] == split],
        read_json(behaviour) if behaviour.is_file() else None,
        split,
    )
