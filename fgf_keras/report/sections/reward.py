"""The reward that a network was trained with, and what the training made of it, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from fgf_keras.config.reward import DIRECTED, RewardConfig
from fgf_keras.report.words import in_words
from fgf_keras.results.interval import rounded


def reward_in_words(reward: RewardConfig) -> str:
    """The reward in words: kind, weights, features, direction, targets, limits, schedule and support."""
    if reward.kind == "none":
        return "none"
    weight = reward.weight
    weights = (
        ", ".join(f"{k} {v:g}" for k, v in weight.items()) if isinstance(weight, dict) else f"{weight:g}"
    )
    features = f", on {in_words(reward.features)}" if reward.features else ""
    aims = {
        "penalised": [name for name, target in reward.targets.items() if target == "penalise"],
        "ignored": [name for name, target in reward.targets.items() if target == "ignore"],
    }
    parts = [
        f"{reward.kind}, λ = {weights}{features}",
        *([_direction(reward)] if reward.direction and reward.kind in DIRECTED else []),
        *(f"{in_words(names)} {aim}" for aim, names in aims.items() if names),
        *([f"at most {reward.max_ratio:g} of the task's gradient"] if reward.max_ratio else []),
        *(["without what opposes the task"] if reward.project_conflicts else []),
        *([f"fine-tuned from {reward.fine_tune}"] if reward.fine_tune else []),
        *([f"from epoch {reward.start_epoch + 1} on"] if reward.start_epoch else []),
        f"warm-up {reward.warmup_epochs} epochs, support {reward.support}",
    ]
    return "; ".join(parts)


def _direction(reward: RewardConfig) -> str:
    per = " per standard deviation" if reward.direction_per == "sd" else ""
    return f"towards {', '.join(f'{k} {v:g}' for k, v in (reward.direction or {}).items())}{per}"


def training_sentence(reward: RewardConfig, features: Sequence[str], training: Mapping[str, Any]) -> str:
    """That a network was trained for or against features, and whether its reward had to be reduced.

    Args:
        reward: the group `reward` of its configuration.
        features: those that are measured.
        training: content of training.json; empty for networks of earlier versions.

    Returns:
        Sentences with a blank before each; empty without a reward.
    """
    if reward.kind == "none":
        return ""
    sentences = []
    rewarded = reward.rewarded(list(features))
    if set(rewarded) & set(features):
        sentences.append("The network was trained to align with features, which raises these shares.")
    elif rewarded:
        sentences.append("The network was trained to align with a random feature.")
    if penalised := [name for name in reward.penalised(list(features)) if name in features]:
        sentences.append(
            f"It was trained not to react to {in_words(penalised)}, which lowers the share of it."
            if len(penalised) == 1
            else f"It was trained not to react to {in_words(penalised)}, which lowers their shares."
        )
    return "".join(f" {sentence}" for sentence in [*sentences, *reductions_sentences(training)])


def reductions_sentences(training: Mapping[str, Any]) -> list[str]:
    """How often the guard reduced the reward of a training, and why; empty if it did not."""
    reductions = training.get("reward", {}).get("reductions", [])
    if not reductions:
        return []
    first, last = reductions[0], reductions[-1]
    times = "once" if len(reductions) == 1 else f"{len(reductions)} times"
    when = f"in epoch {first['epoch']}"
    if len(reductions) > 1:
        when = f"first {when}, last in epoch {last['epoch']}"
    return [
        f"The reward was reduced {times} during training, to {rounded(last['factor'])} of its weight "
        f"({when}), because {first['reason']}.{_when_kept(training, reductions)}"
    ]


def _when_kept(training: Mapping[str, Any], reductions: Sequence[Mapping[str, Any]]) -> str:
    """What weight the reward had when the network was trained that is reported."""
    kept = training.get("kept_epoch")
    if kept is None:
        return ""
    # A reduction after an epoch is in force from the next one on.
    factors = [1.0, *(each["factor"] for each in reductions if each["epoch"] < kept)]
    weight = "its whole weight" if factors[-1] == 1 else f"{rounded(factors[-1])} of it"
    return f" The network that was kept is of epoch {kept}, when the reward had {weight}."


def reduced_in_words(trainings: Sequence[Mapping[str, Any]]) -> str:
    """In how many trainings of an arm the reward was reduced; empty if in none."""
    reduced = [training for training in trainings if reductions_sentences(training)]
    if not reduced:
        return ""
    return f"reduced by the guard in {len(reduced)} of {len(trainings)} trainings"
