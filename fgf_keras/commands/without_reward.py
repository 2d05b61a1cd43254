"""The same training without its reward, to tell what the reward changed."""

from typing import TYPE_CHECKING

import numpy as np

from fgf_keras.commands.evaluation import evaluate
from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.files import read_json, write_json
from fgf_keras.results.arm import TrialResult
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.results.patients import read_patients
from fgf_keras.run.folder import RunFolder
from fgf_keras.training.environment import environment
from fgf_keras.training.fit import fit

if TYPE_CHECKING:
    from collections.abc import Sequence

# What is measured of this network: its scores, S and F, and its behaviour if the run's own is.
_MEASURED = {
    "training_patients": False,
    "nulls": [],
    "noise_draws": 0,
    "controls": False,
    "collapse": False,
    "bars": False,
    "pictures": 0,
}


def is_compared(config: Config) -> bool:
    """Whether a run has a reward, and is to be compared with the same training without it."""
    measured = [feature.name for feature in config.features]
    return config.reward.compare and config.reward.is_active(measured)


def train_without_reward(
    config: Config,
    cohort: Cohort,
    splits: dict[str, np.ndarray],
    folder: RunFolder,
    *,
    prevalence: float | None,
    hu_window: "Sequence[float] | None",
    title: str | None,
) -> None:
    """Train with the same seed and patients but without the reward; measure validation and test patients.

    Leaves a finished run without report and export in `folder.without_reward`. The weights are chosen among
    the same epochs as with the reward.

    Args:
        config: of the run.
        cohort, splits: its patients, and their positions by the name of the part.
        folder: of the run.
        prevalence, hu_window: see `evaluate`.
        title: for the progress bars.

    Raises:
        RunError: the training diverged.
    """
    settings = config.evaluate.model_copy(update=_MEASURED)
    config = config.model_copy(update={"reward": config.reward.off, "evaluate": settings})
    own = RunFolder.create(folder.without_reward.path, config)
    write_json(own.environment_file, environment(config, cohort, splits))
    if cohort.encoding is not None:
        write_json(own.clinical_file, cohort.encoding.to_json())
    title = title and f"{title} without the reward"
    model = fit(config, cohort, splits, own, title=title and f"Training {title}", alone=False)
    evaluation = evaluate(
        model,
        cohort,
        splits,
        settings,
        reward=config.reward,
        seed=config.seed,
        n_train=len(splits["train"]),
        prevalence=prevalence,
        hu_window=hu_window,
        title=title and f"Evaluating {title}",
    )
    evaluation.write(own.evaluation, pictures=False)
    write_json(own.metrics_file, evaluation.metrics)
    own.finish(latest=False)


def result_without_reward(folder: RunFolder, part: str) -> TrialResult | None:
    """The results of that training on a part of the patients; None if it was not asked for."""
    own = folder.without_reward
    if not own.is_finished:
        return None
    metrics = RunMetrics.of(read_json(own.evaluation / "metrics.json"))
    behaviour = own.evaluation / "behaviour.json"
    measured = read_json(behaviour) if behaviour.is_file() else None
    return TrialResult.of(metrics, read_patients(own.evaluation / "patients.csv"), measured, part)
