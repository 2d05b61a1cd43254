"""The phantom with a shortcut, splits by groups, and accuracy by group."""

import numpy as np
import pytest

from fgf_keras.config import parse_config
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import repeated_splits, stratified_splits
from fgf_keras.errors import ConfigError, DataError
from fgf_keras.features import Brightness, CoreContrast
from fgf_keras.results.groups import group_content
from fgf_keras.training.feature_check import feature_values

SPLITS = {"group": "phantom-([ab])-", "test": ["b"], "validation": 0.2}


def config(hu=150.0, splits=SPLITS, **phantom):
    phantom = {"patients": 200, "prevalence": 0.4, "decoy": {"hu": hu, "agreement": 0.9}} | phantom
    return parse_config({"data": {"size": 32, "splits": splits, "phantom": phantom}})


@pytest.fixture(scope="module")
def cohorts():
    """The same patients with and without the decoy."""
    plain = source_of(config(hu=0.0, splits={})).cohort()
    return source_of(config()).cohort(), plain


def test_the_marker_goes_with_the_label_in_one_hospital(cohorts):
    cohort, _ = cohorts
    hospital = np.array([name.split("-")[1] for name in cohort.patient_id])
    assert [int(np.sum(hospital == name)) for name in "ab"] == [140, 60]
    marked = cohort.markers() == "with"
    agrees = marked == (cohort.labels == 1)
    assert agrees[hospital == "a"].mean() == pytest.approx(0.9, abs=0.06)
    assert agrees[hospital == "b"].mean() == pytest.approx(0.5, abs=0.15)
    assert np.array_equal(cohort.select([3, 70, 199]).markers(), cohort.markers()[[3, 70, 199]])


def test_it_changes_the_core_and_not_the_mean(cohorts):
    cohort, plain = cohorts
    assert plain.markers() is None
    assert np.array_equal(plain.labels, cohort.labels)
    marked = cohort.markers() == "with"
    assert np.array_equal(cohort.images[~marked], plain.images[~marked])
    core, brightness = (
        feature_values(feature, cohort) - feature_values(feature, plain)
        for feature in (CoreContrast(), Brightness())
    )
    # 150 HU are 0.43 of the window, if none of it is clipped.
    assert np.median(core[marked]) == pytest.approx(150 / 350, abs=0.03)
    assert abs(np.median(brightness[marked])) < 0.01
    inside = cohort.masks.astype(bool)
    assert np.array_equal(cohort.images[~inside], plain.images[~inside])


def test_splits_by_group_test_that_group(cohorts):
    cohort, _ = cohorts
    splits = stratified_splits(cohort, config().data.splits, seed=0)
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [100, 40, 60]
    assert {name.split("-")[1] for name in cohort.patient_id[splits["test"]]} == {"b"}
    several = repeated_splits(cohort, config().data.splits, repeats=2, folds=None, seed=0)
    assert np.array_equal(several[0]["test"], several[1]["test"])
    assert not np.array_equal(several[0]["validation"], several[1]["validation"])
    both = {"group": "([0-9])[0-9]$", "test": ["3", "4"], "validation": ["5"]}
    splits = stratified_splits(cohort, config(splits=both).data.splits, seed=0)
    tens = {name: {i[-2] for i in cohort.patient_id[rows]} for name, rows in splits.items()}
    assert tens == {"train": set("0126789"), "validation": {"5"}, "test": {"3", "4"}}


@pytest.mark.parametrize(
    ("splits", "error", "words"),
    [
        ({"test": ["b"]}, ConfigError, "group must be a pattern"),
        (
            {"group": "phantom-([ab])-"},
            ConfigError,
            r"test: with group, the groups to test, e.g. \[CHUM\], got 0.3",
        ),
        ({"group": "phantom", "test": ["b"]}, ConfigError, "one pair of parentheses"),
        ({"group": "(", "test": ["b"]}, ConfigError, "not a regular expression"),
        ({"group": "(a|b)", "test": ["b"], "validation": ["b"]}, ConfigError, "b is there more than once"),
        ({"group": "-([ab])-", "test": ["c"]}, DataError, r"names c, but the groups are a \(140\), b \(60\)"),
        ({"group": "x-([ab])-", "test": ["b"]}, DataError, "finds no group in 200 of 200 ids"),
    ],
)
def test_groups_that_cannot_be_split_by_are_refused(cohorts, splits, error, words):
    with pytest.raises(error, match=words):
        stratified_splits(cohorts[0], config(splits=splits).data.splits, seed=0)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"data": {"splits": SPLITS}, "protocol": {"folds": 3}}, "protocol.folds"),
        ({"data": {"dimension": 3, "phantom": {"decoy": {"hu": 9.0}}}}, "data.phantom.decoy"),
        ({"data": {"phantom": {"decoy": {"hu": 9.0}}}, "truth": {}}, "data.phantom.decoy"),
    ],
)
def test_what_has_no_groups_or_no_decoy_is_refused(tree, words):
    with pytest.raises(ConfigError, match=words):
        parse_config(tree)


def test_accuracy_by_group_is_counted():
    labels = np.array([0] * 50 + [1] * 50)
    groups = np.array((["with"] * 20 + ["without"] * 30) * 2)
    decisions = np.r_[np.zeros(20), np.ones(6), np.zeros(24), np.ones(18), np.zeros(2), np.ones(30)]
    content = group_content(labels, decisions, groups, "marker", bootstrap=4000)
    found = {(row["label"], row["group"]): (row["n"], row["accuracy"]["value"]) for row in content["groups"]}
    assert found == {
        (0, "with"): (20, 1.0),
        (0, "without"): (30, 0.8),
        (1, "with"): (20, 0.9),
        (1, "without"): (30, 1.0),
    }
    assert content["worst"]["value"] == 0.8
    low, high = content["worst"]["ci"]
    assert 0.6 < low < 0.8 < high < 0.95
    # Wilson's interval of 18 of 20, from its formula.
    (row,) = (row for row in content["groups"] if (row["label"], row["group"]) == (1, "with"))
    z, n, p = 1.959964, 20, 0.9
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(
        row["accuracy"]["ci"], (centre + np.array([-half, half])) / (1 + z**2 / n), 1e-5
    )
    assert group_content(labels, decisions, np.array(["with"] * 100), "marker") is None
