"""Training that begins with the weights of a finished run, or compares itself with one."""

import csv
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fgf_keras.config import Config
from fgf_keras.config.image_form import IMAGE_FORM, SPACING
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.slices import listing
from fgf_keras.data.splits import read_split_rows
from fgf_keras.errors import RunError
from fgf_keras.files import read_json
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.run.folder import RunFolder

# Parts that must not have been seen by an earlier training, and the parts of that training which saw them.
_UNSEEN = {"test": ("train", "validation"), "validation": ("train",)}


def check_start(path: str | Path, config: Config, cohort: Cohort, splits: dict[str, np.ndarray]) -> RunFolder:
    """The finished run that a training can begin with.

    Args:
        path: of its folder.
        config: of the training.
        cohort: patients.
        splits: positions in the cohort by the name of the part.

    Raises:
        RunError: it is no finished single run; its network is another one; or it has been trained on patients
            of this training's test or validation part, or was chosen on those of its test part.
    """
    folder = finished_run(path, "reward.fine_tune")
    ours, theirs = _architecture(config), _architecture(folder.load_config())
    differing = [f"{key}: {theirs[key]} there, {ours[key]} here" for key in ours if ours[key] != theirs[key]]
    if differing:
        raise RunError(
            f"reward.fine_tune: the network of {path} is not the one to train ({'; '.join(differing)}). Use "
            "the same network, images and clinical columns, or leave fine_tune out."
        )
    if cohort.column_count and read_json(folder.clinical_file) != _as_in_file(cohort):
        raise RunError(
            f"reward.fine_tune: {path} encodes clinical columns by other training patients, so its weights "
            "are for other numbers. Use a run with the same seed and data.splits; in a comparison, name an "
            "arm."
        )
    part_of = {row["patient_id"]: row["split"] for row in read_split_rows(folder.splits_file)}
    for part, seen_as in _UNSEEN.items():
        ids = cohort.patient_id[splits[part]].tolist() if part in splits else []
        seen = [name for name in ids if part_of.get(name) in seen_as]
        if seen:
            raise RunError(
                f"reward.fine_tune: {len(seen)} of {len(ids)} patients of the {part} part were used in "
                f"training {path} ({listing(seen)}), so results on them would be too good. Use a run with "
                "the same seed and data.splits; in a comparison, name an arm, which has the same splits."
            )
    return folder


def _architecture(config: Config) -> dict[str, Any]:
    """What a network and the numbers it sees depend on, by the key of the configuration."""
    model = config.model.model_dump(
        exclude={"network", "evaluate", "dropout", "clinical", "clinical_dense", "clinical_start"}
    )
    data = config.data
    columns = [column.model_dump() for column in data.clinical] if config.model.clinical else []
    return {
        **{f"model.{key}": value for key, value in model.items()},
        "model.clinical_dense": config.model.clinical_dense if columns else [],
        "data.clinical": columns,
        **{f"data.{key}": getattr(data, key) for key in (*IMAGE_FORM, *SPACING)},
        "data.size": data.shape,
    }


def _as_in_file(cohort: Cohort) -> Any:
    """The encoding of a cohort as a JSON file has it."""
    return None if cohort.encoding is None else json.loads(json.dumps(cohort.encoding.to_json()))


def finished_run(path: str | Path, key: str) -> RunFolder:
    """A finished run without arms.

    Args:
        path: of its folder.
        key: of the configuration that names it, for messages.

    Raises:
        RunError: it is not.
    """
    try:
        folder = RunFolder.open(path)
    except RunError as error:
        raise RunError(f"{key}: {error}") from error
    if folder.failure_file.is_file():
        raise RunError(f"{key}: the training in {path} failed, see {folder.failure_file.name} there.")
    if not folder.model_file.is_file():
        raise RunError(f"{key}: {path} holds no model. Name the folder of a single run or of one trial.")
    return folder


def load_start(model: AlignmentModel, folder: RunFolder) -> None:
    """Give a model the weights of the classifier of a finished run.

    Raises:
        RunError: its file cannot be read, or is of another architecture.
    """
    try:
        weights = keras.models.load_model(folder.model_file).classifier.get_weights()
        model.classifier.set_weights(weights)
    except (OSError, ValueError) as error:
        raise RunError(
            f"reward.fine_tune: the weights of {folder.model_file} do not fit the network: {error}"
        ) from error


def baseline_auc(
    path: str | Path, cohort: Cohort, splits: dict[str, np.ndarray], *, best: bool = False
) -> list[float]:
    """Validation AUC of a finished run at each epoch.

    Args:
        path: of its folder.
        cohort: patients.
        splits: positions in the cohort by the name of the part.
        best: the best one alone, for a training that begins where that run ended.

    Raises:
        RunError: it is no finished run, has no such history, or other validation patients.
    """
    folder = finished_run(path, "reward.guard.baseline")
    rows = []
    if folder.history_file.is_file():
        with folder.history_file.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    if not rows or "val_auc" not in rows[0]:
        raise RunError(f"reward.guard.baseline: {path} has no val_auc in {folder.history_file.name}.")
    theirs = {
        (row["patient_id"], row["label"])
        for row in read_split_rows(folder.splits_file)
        if row["split"] == "validation"
    }
    chosen = splits["validation"]
    ours = set(zip(cohort.patient_id[chosen].tolist(), cohort.labels[chosen].astype(str).tolist()))
    if ours != theirs:
        raise RunError(
            f"reward.guard.baseline: {path} has other validation patients, with which an AUC cannot be "
            "compared. Use a run with the same seed and data.splits; in a comparison, name an arm."
        )
    values = [float(row["val_auc"]) for row in rows]
    return [max(values)] if best else values
