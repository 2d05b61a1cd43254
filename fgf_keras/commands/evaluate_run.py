"""Evaluate the model of a finished run on its own cohort or on an external one."""

import logging
from typing import Any

import keras
import numpy as np

from fgf_keras.commands.evaluation import Evaluation, evaluate
from fgf_keras.commands.without_reward import result_without_reward
from fgf_keras.config import Config, DataConfig
from fgf_keras.config.clinical import columns_like
from fgf_keras.config.image_form import IMAGE_FORM, SPACING
from fgf_keras.data.clinical import ClinicalEncoding
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import load_splits, read_split_rows
from fgf_keras.errors import DataError, RunError
from fgf_keras.files import read_json
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.run.folder import RunFolder

_log = logging.getLogger(__name__)


def evaluate_run(
    folder: RunFolder, *, external: Config | None = None, title: str | None = None
) -> Evaluation:
    """Measure the model of a run again.

    Args:
        folder: a finished run without arms.
        external: configuration of an external cohort, of which the groups `data` and `seed` are used. All of
            its patients form the part "external"; the threshold is the one chosen by the run, and the
            settings of the measurement are those of the run. By default, the run's own cohort and splits.
        title: for the progress bars.

    Raises:
        RunError: files of the run are missing, or the data has changed since the training.
        DataError: the external cohort has another window or spacing, or is the run's own cohort.
    """
    config = folder.load_config()
    metrics = read_json(folder.metrics_file)
    if external is not None:
        external = _as_trained(config.data, external)
        _check_comparable(config, external)
        cohort = source_of(external).cohort()
        if cohort.fingerprint() == _fingerprint(folder):
            raise DataError(
                "The external cohort is the one that the model was trained on, patient by patient. "
                "Leave --config away to evaluate the run's own splits."
            )
        _warn_of_acquaintances(folder, cohort)
        splits = {"external": np.arange(len(cohort))}
    else:
        cohort, splits = own_cohort(folder, config)
    cohort = as_encoded(folder, cohort)
    model = load_model(folder)
    evaluation = evaluate(
        model,
        cohort,
        splits,
        config.evaluate,
        reward=config.reward,
        seed=config.seed,
        n_train=metrics["n_train"],
        threshold=metrics["threshold"],
        bars=metrics.get("bars"),
        # That of the run, whose reference is in its units; images of another cohort are mapped alike.
        hu_window=source_of(config).hu_window(),
        reference_sd=reference_sd_of(metrics),
        reference_mean=metrics.get("reference", {}).get("mean"),
        # It was measured on the run's own patients.
        baseline=None if external is not None else result_without_reward(folder, "test"),
        title=title,
    )
    if "training" in metrics:
        evaluation.metrics["training"] = metrics["training"]
    return evaluation


def reference_sd_of(metrics: dict[str, Any]) -> dict[str, float | None] | None:
    """The standard deviations over the training patients; None in metrics of earlier versions."""
    return metrics["reference"]["sd"] if "reference" in metrics else None


def own_cohort(folder: RunFolder, config: Config) -> tuple[Cohort, dict[str, np.ndarray]]:
    """The cohort that a run was trained on, and the patients of each part by its name.

    Raises:
        RunError: the data has changed since the training.
    """
    cohort = source_of(config).cohort()
    if cohort.fingerprint() != _fingerprint(folder):
        raise RunError(
            f"The data under {config.data.root or config.data.source} is not what the run was trained on: "
            "its fingerprint has changed. Restore it, or evaluate it as another cohort with --config."
        )
    return cohort, load_splits(folder.splits_file, cohort)


def as_encoded(folder: RunFolder, cohort: Cohort) -> Cohort:
    """A cohort with its clinical columns encoded as in the training of a run, if it had any."""
    encoding = encoding_of(folder)
    used = folder.load_config().model.clinical
    return cohort if encoding is None else cohort.with_encoding(encoding, clinical_input=used)


def encoding_of(folder: RunFolder) -> ClinicalEncoding | None:
    """How a run encodes clinical columns; None if it has none."""
    if not folder.clinical_file.is_file():
        return None
    return ClinicalEncoding.of_json(read_json(folder.clinical_file))


def _fingerprint(folder: RunFolder) -> str:
    return read_json(folder.environment_file)["data"]["fingerprint"]


def load_model(folder: RunFolder) -> AlignmentModel:
    """The trained model of a run.

    Raises:
        RunError: the file is missing or cannot be read.
    """
    try:
        return keras.models.load_model(folder.model_file)
    except (OSError, ValueError) as error:
        raise RunError(f"{folder.model_file} cannot be loaded: {error}. Train again.") from error


def _warn_of_acquaintances(folder: RunFolder, cohort: Cohort) -> None:
    """Warn if the external cohort shares ids with the run's own cohort: they may be the same people."""
    run_ids = {row["patient_id"] for row in read_split_rows(folder.splits_file)}
    common = len(run_ids & set(cohort.patient_id.tolist()))
    if common:
        _log.warning(
            "%d of %d external patients have an id that the run's own cohort has too. If they are the same "
            "people, this is no external validation.",
            common,
            len(cohort),
        )


def _as_trained(training: DataConfig, external: Config) -> Config:
    """The external configuration, with unset keys for the form of the images as in the training."""
    defaults = {
        key: getattr(training, key)
        for key in (*IMAGE_FORM, *SPACING)
        if key not in external.data.model_fields_set
    }
    defaults["clinical"] = columns_like(training.clinical, external.data.clinical)
    return external.model_copy(update={"data": external.data.model_copy(update=defaults)})


def _check_comparable(training: Config, external: Config) -> None:
    days, others = training.data.endpoint.days, external.data.endpoint.days
    if days != others:
        raise DataError(
            f"The model was trained on data.endpoint.days={days}, the external cohort has {others}: its "
            "labels mean something else. Set data.endpoint alike."
        )
    for key, unit in IMAGE_FORM.items():
        expected, actual = getattr(training.data, key), getattr(external.data, key)
        if expected != actual:
            raise DataError(
                f"The model was trained with data.{key}={expected}{unit}, the external cohort has "
                f"{actual}{unit}: its scores would mean nothing. Prepare the cohort alike and set data.{key}."
            )
    expected, actual = (source_of(config).pixel_spacing() for config in (training, external))
    if expected != actual:
        raise DataError(
            f"The model was trained on slices of {_in_words(expected)}, the external cohort has "
            f"{_in_words(actual)}: its scores would mean nothing. {_remedy(expected, external.data)}"
        )


def _remedy(expected: list[float] | None, data: DataConfig) -> str:
    if expected is not None and len(set(expected)) == 1 and data.source in ("png", "dicom", "volumes"):
        return f"Set data.spacing_mm={expected[0]:g}, to which its slices are then resampled."
    return "Prepare the cohort alike: set data.spacing or data.spacing_mm."


def _in_words(spacing: list[float] | None) -> str:
    return "each patient's own pixel spacing" if spacing is None else f"{spacing} mm pixel spacing"
