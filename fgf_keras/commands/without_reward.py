"""The same training without its reward, to tell what the reward changed: when it is done, and its results."""

from typing import Any

from fgf_keras.config import Config
from fgf_keras.files import read_json
from fgf_keras.results.arm import TrialResult
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.results.patients import read_patients
from fgf_keras.run.folder import RunFolder

# What is measured of this network: its scores, S and F, and its behaviour if the run's own is.
MEASURED: dict[str, Any] = {
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


def result_without_reward(folder: RunFolder, part: str) -> TrialResult | None:
    """The results of that training on a part of the patients; None if it was not asked for."""
    own = folder.without_reward
    if not own.is_finished:
        return None
    metrics = RunMetrics.of(read_json(own.evaluation / "metrics.json"))
    behaviour = own.evaluation / "behaviour.json"
    measured = read_json(behaviour) if behaviour.is_file() else None
    return TrialResult.of(metrics, read_patients(own.evaluation / "patients.csv"), measured, part)
