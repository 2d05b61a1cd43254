"""The settings that the numbers of a report depend on."""

from fgf_keras.config import Config
from fgf_keras.config.protocol import RewardConfig
from fgf_keras.report.document import Section, Table
from fgf_keras.report.words import in_words

_WHY = {
    "evaluate.support": "shares over the whole picture are far smaller than inside the tumour",
    "data.slice": "which cross-section stands for the patient",
    "data.window": "what is outside is clipped, so that nothing is seen of it",
    "data.size": "the canvas; shares on support “image” fall as it grows",
    "data.spacing": "extent is in mm, the length of the smooth null in px",
    "features": "the joint share grows with every feature that is named",
    "reward": "training for alignment raises S; with “sum” often that of a single feature",
    "train": "alignment changes in the course of training",
    "evaluate.flow": "how the path is followed, and what F is the mean over",
    "evaluate.nulls": "what counts as chance; the smallest p-value is 1/(1 + draws)",
    "threshold": "decides sensitivity and specificity; S, F and the AUC do not depend on it",
    "data.splits": "few positive patients make wide intervals",
    "seed": "of splits, weights, order of training, bootstrap and nulls",
}


def settings_section(config: Config) -> Section:
    """Each setting, what it is in this run, and why it matters."""
    table = Table(
        "Change one of these, and figures above change",
        ["setting", "here", "why it matters"],
        settings_rows(config),
        words=True,
    )
    return Section("settings", "What the figures are sensitive to", [table])


def settings_rows(config: Config) -> list[list[str]]:
    """Setting, what it is here, why it matters."""
    data, measured, flow = config.data, config.evaluate, config.evaluate.flow
    lengths = ", ".join(f"{length:g}" for length in measured.correlation_lengths)
    here = {
        "evaluate.support": ", ".join(measured.support),
        "data.slice": data.slice if data.source in ("dicom", "volumes") else "as the source has it",
        "data.window": f"{data.window[0]:g} to {data.window[1]:g} HU",
        "data.size": f"{data.size} px",
        "data.spacing": _spacing(config),
        "features": in_words(feature.name for feature in config.features),
        "reward": "as the arms have it" if config.arms else reward_in_words(config.reward),
        "train": f"{config.train.epochs} epochs, learning rate {config.train.learning_rate:g}",
        "evaluate.flow": f"{flow.steps} to {flow.max_steps} steps, tolerance {flow.tolerance:g}, "
        f"mean over {flow.weight}",
        "evaluate.nulls": f"{', '.join(measured.nulls) or 'none'}; {measured.null_draws} draws; "
        f"smooth: {lengths} px",
        "threshold": "largest balanced accuracy on validation",
        "data.splits": f"test {data.splits.test:g}, validation {data.splits.validation:g}",
        "seed": str(config.seed),
    }
    return [[key, value, _WHY[key]] for key, value in here.items()]


def reward_in_words(reward: RewardConfig) -> str:
    """What is added to the loss."""
    if reward.kind == "none":
        return "none"
    weight = reward.weight
    weights = (
        ", ".join(f"{k} {v:g}" for k, v in weight.items()) if isinstance(weight, dict) else f"{weight:g}"
    )
    named = f", on {in_words(reward.features)}" if reward.features else ""
    warmup = f"warm-up {reward.warmup_epochs} epochs"
    return f"{reward.kind}, λ = {weights}{named}; {warmup}, support {reward.support}"


def _spacing(config):
    data = config.data
    if data.source in ("phantom", "png"):
        return " × ".join(f"{mm:g}" for mm in data.spacing) + " mm"
    return "each patient's own" if data.spacing_mm is None else f"{data.spacing_mm:g} mm"
