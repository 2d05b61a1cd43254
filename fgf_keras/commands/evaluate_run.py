"""Evaluate the model of a finished run, on its own cohort or on one that it never saw."""

import logging

import keras
import numpy as np

from fgf_keras.commands.evaluation import Evaluation, evaluate
from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import load_splits, read_split_rows
from fgf_keras.errors import DataError, RunError
from fgf_keras.files import read_json
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.run.folder import RunFolder

_log = logging.getLogger(__name__)
# Keys of the group `data` that say what form images have, with their units.
_FORM = {"window": " HU", "size": " px", "slice": "", "centre": ""}
# As well; which of them counts depends on the source.
_SPACING = ("spacing", "spacing_mm")


def evaluate_run(folder: RunFolder, *, external: Config | None = None, title=None) -> Evaluation:
    """Measure the model of a run again.

    Args:
        folder: a finished run without arms.
        external: configuration of another cohort (its groups `data` and `seed` are used); all of its
            patients become the split "external", and the threshold is the one the run has chosen. How
            things are measured comes from the run. By default, the run's own cohort and splits.
        title: sentence for the progress bars.

    Raises:
        RunError: files of the run are missing, or the data has changed since.
        DataError: the external cohort is windowed or spaced otherwise, or is the run's own.
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
    model = load_model(folder)
    return evaluate(
        model,
        cohort,
        splits,
        config.evaluate,
        reward=config.reward,
        seed=config.seed,
        n_train=metrics["n_train"],
        threshold=metrics["threshold"],
        title=title,
    )


def own_cohort(folder: RunFolder, config: Config) -> tuple[Cohort, dict]:
    """The cohort that a run was trained on, and its splits by name.

    Raises:
        RunError: the data has changed since.
    """
    cohort = source_of(config).cohort()
    if cohort.fingerprint() != _fingerprint(folder):
        raise RunError(
            f"The data under {config.data.root or config.data.source} is not what the run was trained on: "
            "its fingerprint has changed. Restore it, or evaluate it as another cohort with --config."
        )
    return cohort, load_splits(folder.splits_file, cohort)


def _fingerprint(folder):
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


def _warn_of_acquaintances(folder, cohort):
    """Say so where the external cohort has ids of the run's own: they may be the same people."""
    run_ids = {row["patient_id"] for row in read_split_rows(folder.splits_file)}
    common = len(run_ids & set(cohort.patient_id.tolist()))
    if common:
        _log.warning(
            "%d of %d external patients have an id that the run's own cohort has too. If they are the same "
            "people, this is no external validation.",
            common,
            len(cohort),
        )


def _as_trained(own, external):
    """What the other configuration does not say about the form of images is as in training."""
    unsaid = {
        key: getattr(own, key) for key in (*_FORM, *_SPACING) if key not in external.data.model_fields_set
    }
    return external.model_copy(update={"data": external.data.model_copy(update=unsaid)})


def _check_comparable(own, other):
    for key, unit in _FORM.items():
        trained, given = getattr(own.data, key), getattr(other.data, key)
        if trained != given:
            raise DataError(
                f"The model was trained with data.{key}={trained}{unit}, the external cohort has "
                f"{given}{unit}: its scores would mean nothing. Prepare the cohort alike and set data.{key}."
            )
    trained, given = (source_of(config).pixel_spacing() for config in (own, other))
    if trained != given:
        raise DataError(
            f"The model was trained on slices of {_in_words(trained)}, the external cohort has "
            f"{_in_words(given)}: its scores would mean nothing. Prepare the cohort alike: set data.spacing "
            "or data.spacing_mm."
        )


def _in_words(spacing):
    return "each patient's own pixel spacing" if spacing is None else f"{spacing} mm pixel spacing"
