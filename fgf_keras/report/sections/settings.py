"""The settings that the numbers of a report depend on."""

from collections.abc import Iterable

from fgf_keras.config import Config
from fgf_keras.config.train import TrainConfig
from fgf_keras.report.document import Section, Table
from fgf_keras.report.sections.reward import reward_in_words
from fgf_keras.report.words import in_words

_WHY = {
    "evaluate.support": "shares over the whole picture are far smaller than inside the tumour",
    "data.slice": "which cross-section stands for the patient",
    "data.dimension": "whole tumours are seen, in boxes around them",
    "data.window": "what is outside is clipped, so that nothing is seen of it",
    "data.size": "the canvas; shares on support “image” fall as it grows",
    "data.spacing": "extent is in mm, the length of the smooth null in px",
    "features": "the joint share grows with every feature that is named",
    "reward": "training for alignment raises S; with “sum” often that of a single feature",
    "train": "alignment changes in the course of training",
    "evaluate.flow": "how the path is followed, and what F is the mean over",
    "evaluate.nulls": "what counts as chance; the smallest p-value is 1/(1 + draws)",
    "evaluate.threshold": "decides sensitivity and specificity; S, F and the AUC do not depend on it",
    "data.splits": "few positive patients make wide intervals",
    "seed": "of splits, weights, order of training, bootstrap and nulls",
}
_THRESHOLDS = {
    "validation": "largest balanced accuracy on validation",
    "validation_and_training": "largest balanced accuracy on validation and training",
    "prior": "where the loss weighs both classes alike",
}


def settings_section(config: Config) -> Section:
    """The table of settings: the value in this run, and why it matters."""
    table = Table(
        "Settings that change the numbers above",
        ["setting", "here", "why it matters"],
        settings_rows(config),
        words=True,
    )
    return Section("settings", "What the numbers depend on", [table])


def settings_rows(config: Config) -> list[list[str]]:
    """Rows of (setting, value in this run, why it matters)."""
    data, evaluate, flow = config.data, config.evaluate, config.evaluate.flow
    lengths = ", ".join(f"{length:g}" for length in evaluate.correlation_lengths)
    values = {
        "evaluate.support": ", ".join(evaluate.support),
        "data.slice": data.slice if data.source in ("dicom", "volumes") else "as the source has it",
        "data.dimension": "3",
        "data.window": f"{data.window[0]:g} to {data.window[1]:g} HU",
        "data.size": f"{data.size} px" if data.dimension == 2 else _times(data.shape) + " voxels",
        "data.spacing": _spacing(config),
        "features": in_words(feature.name for feature in config.features),
        "reward": "as the arms have it" if config.arms else reward_in_words(config.reward),
        "train": f"{config.train.epochs} epochs, learning rate {config.train.learning_rate:g}; "
        f"{weights_in_words(config.train)}",
        "evaluate.flow": f"{flow.steps} to {flow.max_steps} steps, tolerance {flow.tolerance:g}, "
        f"mean over {flow.weight}, range {flow.range}",
        "evaluate.nulls": f"{', '.join(evaluate.nulls) or 'none'}; {evaluate.null_draws} draws; "
        f"smooth: {lengths} px",
        "evaluate.threshold": _THRESHOLDS[evaluate.threshold],
        "data.splits": f"test {_part(data.splits.test)}, validation {_part(data.splits.validation)}",
        "seed": str(config.seed),
    }
    # Slices have no dimension to mention, and volumes no slice that was chosen.
    del values["data.dimension" if data.dimension == 2 else "data.slice"]
    return [[key, value, _WHY[key]] for key, value in values.items()]


def weights_in_words(train: TrainConfig) -> str:
    """Which weights of the training are kept."""
    return {
        "best": f"weights of the epoch with the best {train.monitor}",
        "smoothed": f"weights of the middle of the {train.smoothing_epochs} epochs with the best mean "
        f"{train.monitor}",
        "ema": f"exponential average of the weights, momentum {train.ema_momentum:g}, up to the epoch at "
        f"which its {train.monitor} is best",
        "swa": f"mean of the weights over the {train.average_epochs} epochs up to the one at which its "
        f"{train.monitor} is best",
    }[train.weights]


def _part(part: float | list[str]) -> str:
    return in_words(part) if isinstance(part, list) else f"{part:g}"


def _times(values: Iterable[float]) -> str:
    return " × ".join(f"{value:g}" for value in values)


def _spacing(config: Config) -> str:
    data = config.data
    if data.source in ("phantom", "png") or data.dimension == 3:
        return _times(data.spacing) + " mm"
    return "each patient's own" if data.spacing_mm is None else f"{data.spacing_mm:g} mm"
