"""The patients and splits that each trial of a comparison has."""

from typing import NamedTuple

import numpy as np

from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.phantom.phantom import relabelled
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import repeated_splits, stratified_splits
from fgf_keras.errors import DataError
from fgf_keras.run.trial import trials_of


class TrialData(NamedTuple):
    """Patients, and positions among them by the name of the split."""

    cohort: Cohort
    splits: dict[str, np.ndarray]


def trial_data(config: Config) -> dict[str, TrialData]:
    """What each trial is trained and tested on, by its name; a run without arms has the empty name.

    Arms of a comparison share one cohort and the splits of their repeat. Ground truth has one phantom a
    repeat, whose images all laws share; labels, and with them the stratified splits, are each law's own.

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
    places = {trial.name: trial.split for trial in trials_of(config)} or {"": ""}
    return {name: TrialData(cohort, splits[split]) for name, split in places.items()}


def _under_laws(config):
    by_trial, cohorts = {}, {}
    for trial in trials_of(config):
        alone = trial.config(config)
        if trial.split not in cohorts:
            cohorts[trial.split] = source_of(alone).cohort()
        cohort = relabelled(cohorts[trial.split], alone.data.phantom)
        by_trial[trial.name] = TrialData(cohort, _splits(trial, cohort, alone))
    return by_trial


def _splits(trial, cohort, own):
    try:
        return stratified_splits(cohort, own.data.splits, seed=own.seed)
    except DataError as error:
        raise DataError(f"{trial.name}: {error}") from error
