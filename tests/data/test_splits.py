"""Splits hold every patient once, keep the classes in proportion, and survive a file."""

import os

import numpy as np
import pytest

from fgf_keras.config.data import SplitConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.splits import load_splits, save_splits, stratified_splits
from fgf_keras.errors import DataError


def cohort_of(labels, prefix="p"):
    n = len(labels)
    return Cohort(
        patient_id=[f"{prefix}{i}" for i in range(n)],
        images=np.full((n, 2, 2, 1), 0.5, np.float32),
        masks=np.ones((n, 2, 2, 1), np.uint8),
        labels=np.asarray(labels),
        spacing=np.ones((n, 2)),
    )


@pytest.fixture(scope="module")
def cohort():
    return cohort_of(np.random.default_rng(0).permutation([1] * 40 + [0] * 258))


def sizes(splits):
    return [len(splits[name]) for name in ("train", "validation", "test")]


def edited(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("test", "validation", "expected"),
    [
        (89, 40, [169, 40, 89]),
        (0.3, 0.15, [164, 45, 89]),
        (89, 0.1, [179, 30, 89]),
        (0.5, 49, [100, 49, 149]),
    ],
)
def test_a_number_below_one_is_a_fraction_of_the_whole_cohort(cohort, test, validation, expected):
    splits = stratified_splits(cohort, SplitConfig(test=test, validation=validation), seed=0)
    assert sizes(splits) == expected


@pytest.mark.parametrize("seed", range(5))
def test_every_patient_is_in_one_split_and_the_classes_are_in_proportion(cohort, seed):
    splits = stratified_splits(cohort, SplitConfig(), seed=seed)
    together = np.concatenate(list(splits.values()))
    np.testing.assert_array_equal(np.sort(together), np.arange(298))
    for part in splits.values():
        np.testing.assert_array_equal(part, np.sort(part))
        assert abs(cohort.labels[part].sum() - 40 / 298 * len(part)) <= 1


def test_the_test_split_does_not_depend_on_the_validation_split(cohort):
    tests = [
        stratified_splits(cohort, SplitConfig(test=89, validation=v), seed=3)["test"] for v in (0.05, 0.3, 60)
    ]
    for part in tests[1:]:
        np.testing.assert_array_equal(part, tests[0])


def test_the_seed_decides_the_splits(cohort):
    one, same, other = (stratified_splits(cohort, SplitConfig(), seed=seed) for seed in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
        assert not np.array_equal(one[name], other[name])


def test_more_than_two_classes_are_split_too():
    splits = stratified_splits(cohort_of([0, 1, 2] * 20), SplitConfig(), seed=0)
    assert sizes(splits) == [33, 9, 18]


@pytest.mark.parametrize(
    ("labels", "test", "validation", "words"),
    [
        ([0, 1] * 10, 15, 5, ["0 train, 5 validation and 15 test", "empty", "data.splits"]),
        ([0, 1] * 10, 30, 5, ["-15 train", "empty"]),
        ([0, 1] * 10, 0.01, 5, ["0 test", "empty"]),
        ([1] + [0] * 19, 4, 4, ["19 of class 0, 1 of class 1", "rarer class"]),
        ([1] * 2 + [0] * 30, 8, 8, ["30 of class 0, 2 of class 1", "rarer class"]),
        ([1] * 4 + [0] * 60, 30, 4, ["validation would hold 4 of class 0, 0 of class 1", "data.splits"]),
        ([0, 1] * 10, 1, 5, ["1 test", "data.splits"]),
        ([0, 1] * 10, 2.5, 5, ["data.splits.test", "2.5"]),
    ],
)
def test_a_split_without_a_class_or_without_patients_is_refused(labels, test, validation, words):
    with pytest.raises(DataError) as caught:
        stratified_splits(cohort_of(labels), SplitConfig(test=test, validation=validation), seed=0)
    for word in words:
        assert word in str(caught.value)


def test_a_part_of_a_cohort_with_one_class_is_refused(cohort):
    negatives = cohort.select(cohort.labels == 0)
    with pytest.raises(DataError, match="0 of class 1"):
        stratified_splits(negatives, SplitConfig(), seed=0)


@pytest.fixture
def saved(cohort, tmp_path):
    path = tmp_path / "run" / "splits.csv"
    splits = stratified_splits(cohort, SplitConfig(), seed=0)
    save_splits(path, cohort, splits)
    return path, splits


def test_splits_survive_a_file(cohort, saved):
    path, splits = saved
    assert path.read_text(encoding="utf-8").splitlines()[0] == "patient_id,split,label"
    loaded = load_splits(path, cohort)
    assert list(loaded) == ["train", "validation", "test"]
    for name, part in splits.items():
        np.testing.assert_array_equal(loaded[name], part)


def test_splits_follow_the_patients_when_the_cohort_is_in_another_order(cohort, saved):
    path, splits = saved
    turned = cohort.select(np.arange(298)[::-1])
    loaded = load_splits(path, turned)
    for name, part in splits.items():
        assert set(turned.patient_id[loaded[name]]) == set(cohort.patient_id[part])


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(cohort, saved, monkeypatch):
    path = saved[0]
    before = path.read_text(encoding="utf-8")
    other = stratified_splits(cohort, SplitConfig(), seed=1)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_splits(path, cohort, other)
    assert path.read_text(encoding="utf-8") == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("part", [[0, 1], [0, 1, 2, 3, 4]])
def test_splits_that_leave_out_or_repeat_a_patient_are_not_written(tmp_path, part):
    cohort = cohort_of([0, 1, 0, 1, 0])
    splits = {"train": np.array(part), "validation": np.array([3]), "test": np.array([4])}
    with pytest.raises(DataError, match="each of the 5 patients once"):
        save_splits(tmp_path / "splits.csv", cohort, splits)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_of_splits_is_refused(cohort, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_splits(tmp_path / "splits.csv", cohort)


def test_splits_of_other_patients_are_refused(saved):
    with pytest.raises(DataError, match=r"298 only in the file: p0.*2 only in the cohort: q0, q1"):
        load_splits(saved[0], cohort_of([0, 1], prefix="q"))


def test_splits_with_other_labels_are_refused(cohort, saved):
    with pytest.raises(DataError, match=r"other labels.*data\.label_column"):
        load_splits(saved[0], cohort_of(1 - cohort.labels))


def test_a_patient_that_is_in_the_file_twice_is_refused(cohort, saved):
    path = saved[0]
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}{text.splitlines()[5]}\n", encoding="utf-8")
    with pytest.raises(DataError, match="More than once: p4"):
        load_splits(path, cohort)


def test_a_split_with_an_unknown_name_is_refused(cohort, saved):
    edited(saved[0], "validation", "tuning")
    with pytest.raises(DataError, match=r"'tuning'.*in all"):
        load_splits(saved[0], cohort)


def test_a_file_with_other_columns_is_refused(cohort, saved):
    edited(saved[0], "patient_id,split", "id,part")
    with pytest.raises(DataError, match="Received: id, part, label"):
        load_splits(saved[0], cohort)
