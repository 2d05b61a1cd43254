"""Repeated splits and folds hold every class, test everyone once, and depend on the seed alone."""

import numpy as np
import pytest

from fgf_keras.config.data import SplitConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.splits import repeated_splits, require_unseen
from fgf_keras.errors import DataError

CONFIG = SplitConfig(test=0.3, validation=0.2)


def cohort_of(positive, negative):
    n = positive + negative
    return Cohort(
        patient_id=[f"p{i}" for i in range(n)],
        images=np.full((n, 2, 2, 1), 0.5, np.float32),
        masks=np.ones((n, 2, 2, 1), np.uint8),
        labels=np.random.default_rng(0).permutation([1] * positive + [0] * negative),
        spacing=np.ones((n, 2)),
    )


def made(cohort, **changed):
    return repeated_splits(cohort, CONFIG, **{"repeats": 3, "folds": None, "seed": 0} | changed)


@pytest.mark.parametrize("folds", [None, 4])
@pytest.mark.parametrize("seed", range(3))
def test_every_part_of_every_split_holds_both_classes_and_nobody_twice(folds, seed):
    cohort = cohort_of(8, 40)
    for splits in made(cohort, folds=folds, seed=seed):
        together = np.concatenate(list(splits.values()))
        np.testing.assert_array_equal(np.sort(together), np.arange(48))
        require_unseen(cohort, splits)
        for part in splits.values():
            assert set(cohort.labels[part]) == {0, 1}
        assert len(splits["validation"]) == round(0.2 * 48)


def test_folds_test_everyone_once_in_each_repeat():
    splits = made(cohort_of(8, 40), repeats=2, folds=4)
    assert len(splits) == 8
    for repeat in (splits[:4], splits[4:]):
        tested = np.concatenate([split["test"] for split in repeat])
        np.testing.assert_array_equal(np.sort(tested), np.arange(48))
    assert not np.array_equal(splits[0]["test"], splits[4]["test"])


@pytest.mark.parametrize("folds", [None, 3])
def test_a_seed_gives_its_own_splits_and_repeats_differ(folds):
    cohort = cohort_of(8, 40)
    tests = {seed: [s["test"].tolist() for s in made(cohort, folds=folds, seed=seed)] for seed in (0, 1)}
    assert tests[0] == [s["test"].tolist() for s in made(cohort, folds=folds, seed=0)]
    assert len({tuple(test) for seed in tests.values() for test in seed}) == 2 * len(tests[0])


def test_fewer_positive_patients_than_folds_are_refused():
    with pytest.raises(DataError, match=r"3 of class 1.*4 folds.*protocol\.folds to 3"):
        made(cohort_of(3, 40), folds=4)


def test_a_patient_who_is_trained_on_and_tested_is_refused():
    cohort = cohort_of(8, 40)
    (splits,) = made(cohort, repeats=1)
    leaking = {**splits, "train": np.append(splits["train"], splits["test"][0])}
    with pytest.raises(DataError, match=str(cohort.patient_id[splits["test"][0]])):
        require_unseen(cohort, leaking)
