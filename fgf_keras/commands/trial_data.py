"""The patients and the split of each trial of a comparison."""

from typing import NamedTuple

import numpy as np

from fgf_keras.config import Config
from fgf_keras.data.clinical import encoded
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.phantom.phantom import relabelled
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import repeated_splits, stratified_splits
from fgf_keras.errors import DataError
from fgf_keras.run.trial import Trial, trials_of


class TrialData(NamedTuple):
    """The patients of a trial.

    Attributes:
        cohort: the patients, their clinical columns encoded by those of the part "train".
        splits: positions in the cohort by the name of the part: "train", "validation" and "test".
    """

    cohort: Cohort
    splits: dict[str, np.ndarray]


def trial_data(config: Config) -> dict[str, TrialData]:
    """Patients and split of each trial by its name; the name of a run without arms is empty.

    Arms of a comparison share one cohort and the splits of their repeat. Under known laws there is one
    phantom per repeat: all laws share its images, but each has its own labels and thus its own stratified
    splits.

    Raises:
        DataError: the source cannot be used, or a part of a split would be empty or lack a class.
    """
    if config.truth is not None:
        return _under_laws(config)
    cohort, protocol = source_of(config).cohort(), config.protocol
    names = protocol.split_names
    if names == [""]:
        splits = {"": stratified_splits(cohort, config.data.splits, seed=config.seed)}
    else:
        repeated = repeated_splits(
            cohort, config.data.splits, repeats=protocol.repeats, folds=protocol.folds, seed=config.seed
        )
        splits = dict(zip(names, repeated))
    split_of = {trial.name: trial.split for trial in trials_of(config)} or {"": ""}
    columns, train = config.data.clinical, {name: rows["train"] for name, rows in splits.items()}
    used = config.model.clinical
    cohorts = {name: encoded(cohort, columns, rows, clinical_input=used) for name, rows in train.items()}
    return {name: TrialData(cohorts[split], splits[split]) for name, split in split_of.items()}


def _under_laws(config: Config) -> dict[str, TrialData]:
    by_trial: dict[str, TrialData] = {}
    cohorts: dict[str, Cohort] = {}
    for trial in trials_of(config):
        trial_config = trial.config(config)
        if trial.split not in cohorts:
            cohorts[trial.split] = source_of(trial_config).cohort()
        cohort = relabelled(cohorts[trial.split], trial_config.data.phantom)
        by_trial[trial.name] = TrialData(cohort, _splits(trial, cohort, trial_config))
    return by_trial


def _splits(trial: Trial, cohort: Cohort, config: Config) -> dict[str, np.ndarray]:
    try:
        return stratified_splits(cohort, config.data.splits, seed=config.seed)
    except DataError as error:
        raise DataError(f"{trial.name}: {error}") from error
