"""The population share: R² of the score on feature values, its split, chance, and what a sum misses."""

import itertools
import json

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression

from fgf_keras.errors import DataError
from fgf_keras.results.explained_variance import own_p_values
from fgf_keras.results.population import (
    PopulationShare,
    population_content,
    population_share,
    population_table,
)

NAMES = ["a", "b", "c"]
FAST = {"permutations": 200, "bootstrap": 200}


def _values(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, len(NAMES)))


def _r2(x, y):
    return LinearRegression().fit(x, y).score(x, y) if x.shape[1] else 0.0


def _lmg(x, y):
    """The average gain of each feature over all orders, by its definition."""
    gains = np.zeros(x.shape[1])
    orders = list(itertools.permutations(range(x.shape[1])))
    for order in orders:
        for place, feature in enumerate(order):
            before, after = list(order[:place]), list(order[: place + 1])
            gains[feature] += (_r2(x[:, after], y) - _r2(x[:, before], y)) / len(orders)
    return gains


@pytest.mark.parametrize("scale", ["ranks", "linear"])
def test_shares_are_those_of_least_squares_over_all_orders(scale):
    x = _values(40)
    x[:, 2] += 0.8 * x[:, 0]
    y = x[:, 0] - 0.5 * x[:, 1] ** 3 + np.random.default_rng(1).normal(size=40)
    content = population_share(y, x, NAMES, **FAST)[scale]
    if scale == "ranks":
        x, y = stats.rankdata(x, axis=0), stats.rankdata(y)
    assert content["joint"]["share"] == pytest.approx(_r2(x, y))
    np.testing.assert_allclose([content[name]["share"] for name in NAMES], _lmg(x, y), atol=1e-12)
    for i, name in enumerate(NAMES):
        rest = _r2(np.delete(x, i, axis=1), y)
        assert content[name]["unique"] == pytest.approx(_r2(x, y) - rest)
    assert sum(content[name]["share"] for name in NAMES) == pytest.approx(content["joint"]["share"])


def test_ranks_do_not_change_under_increasing_functions_of_score_and_features():
    x = _values(60)
    y = x[:, 0] + 0.5 * x[:, 1] + np.random.default_rng(1).normal(size=60)
    content = population_share(y, x, NAMES, **FAST)
    other = population_share(np.exp(y), np.stack([x[:, 0] ** 3, 7 * x[:, 1] - 3, x[:, 2]], 1), NAMES, **FAST)
    assert content["ranks"] == other["ranks"]
    assert content["linear"] != other["linear"]


def test_what_explains_nothing_is_at_chance_and_its_p_values_are_uniform():
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        content = population_share(rng.normal(size=28), _values(28, seed + 100), NAMES, **FAST)
        p.append(content["ranks"]["joint"]["p"])
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_a_score_that_follows_two_of_three_features_is_told_from_chance():
    x = _values(60)
    y = x[:, 0] + x[:, 1] + 0.5 * np.random.default_rng(1).normal(size=60)
    ranks = population_share(y, x, NAMES, **FAST)["ranks"]
    for used in ("a", "b"):
        assert ranks[used]["p"] == 1 / 201
        assert ranks[used]["ci"][0] > ranks["c"]["ci"][1]
    assert ranks["c"]["p"] > 0.05
    assert ranks["c"]["share"] < ranks["c"]["chance"]


def test_a_weak_feature_is_found_beside_a_strong_one_and_a_follower_is_not():
    own, follower = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(60, 3))
        x[:, 2] = 0.7 * x[:, 0] + 0.7 * x[:, 2]
        y = 2 * x[:, 0] + 0.4 * x[:, 1] + 0.5 * rng.normal(size=60)
        ranks = population_share(y, x, NAMES, **FAST)["ranks"]
        own.append(ranks["b"]["p_own"] <= 0.05)
        # It varies with a used feature, so that it has a share, but adds nothing.
        assert ranks["c"]["p"] <= 0.05
        follower.append(ranks["c"]["p_own"] <= 0.05)
    assert np.mean(own) == 1
    assert np.mean(follower) <= 0.25


def test_p_values_of_own_shares_are_uniform_where_there_are_none():
    p = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(28, 2))
        p.append(own_p_values(3 * x[:, :1] + rng.normal(size=(28, 1)), x, 99, rng)[1])
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_few_patients_have_no_interval(rng):
    x = _values(15)
    content = population_share(x[:, 0], x, NAMES, **FAST)
    assert content["ranks"]["a"]["ci"] == [None, None]
    assert content["ranks"]["a"]["share"] > 0.5


LAWS = {
    "product": lambda x: x[:, 0] * x[:, 1],
    "exclusive or": lambda x: np.sign(x[:, 0] * x[:, 1]) * (1 + 0.1 * np.abs(x[:, 2])),
    "use of a flips with b": lambda x: x[:, 0] * np.sign(x[:, 1]),
}


@pytest.mark.parametrize("law", LAWS)
def test_interactions_have_no_additive_share_and_are_found_by_the_flexible_surrogate(law):
    x = _values(120, seed=1)
    content = population_share(LAWS[law](x), x, NAMES, **FAST)
    assert content["ranks"]["joint"]["share"] < 0.1
    found = content["flexible"]["interactions"]
    assert found["share"] > 0.3
    assert found["ci"][0] > 0.15
    assert content["flexible"]["bends"]["share"] < 0.1


def test_bends_are_told_from_interactions():
    x = _values(120)
    flexible = population_share(np.abs(x[:, 0]) + 0.1 * x[:, 1], x, NAMES, **FAST)["flexible"]
    assert flexible["bends"]["ci"][0] > 0.3
    assert flexible["interactions"]["share"] < 0.05


@pytest.mark.parametrize("count", [40, 120])
def test_the_flexible_surrogate_adds_nothing_where_there_is_nothing_to_add(count):
    added = []
    for seed in range(8):
        x, noise = _values(count, seed), np.random.default_rng(seed + 50).normal(size=count)
        for score in (noise, x[:, 0] + x[:, 1] + noise):
            flexible = population_share(score, x, NAMES, **FAST)["flexible"]
            added.append(flexible["bends"]["share"] + flexible["interactions"]["share"])
    assert np.mean(added) < 0.02
    assert max(added) < 0.15


def test_collinear_and_constant_features_count_once_and_not_at_all():
    x = _values(50)
    x[:, 1] = 2 * x[:, 0] + 1
    x[:, 2] = 0.3 + 1e-9 * x[:, 2]
    content = population_share(x[:, 0], x, NAMES, **FAST)
    assert content["constant"] == ["c"]
    for scale in ("ranks", "linear"):
        shares = {name: entry["share"] for name, entry in content[scale].items()}
        assert shares == pytest.approx({"a": 0.5, "b": 0.5, "c": 0.0, "joint": 1.0})
        assert content[scale]["a"]["unique"] == pytest.approx(0, abs=1e-9)
        assert content[scale]["c"]["p"] == 1


def test_classes_are_explained_together_whatever_is_added_to_all_logits():
    x = _values(80)
    logits = np.stack([x[:, 0], x[:, 1], -x[:, 0] - x[:, 1]], axis=1)
    content = population_share(logits, x, NAMES, **FAST)
    assert content["linear"]["joint"]["share"] == pytest.approx(1)
    shifted = population_share(logits + 5 * x[:, 2:], x, NAMES, **FAST)
    assert shifted["linear"]["joint"]["share"] == pytest.approx(1)
    # Two logits are one score.
    two = population_share(np.stack([x[:, 0], x[:, 1]], axis=1), x, NAMES, **FAST)
    one = population_share(x[:, 0] - x[:, 1], x, NAMES, **FAST)
    assert two["linear"]["a"]["share"] == pytest.approx(one["linear"]["a"]["share"])


def test_undefined_patients_are_left_out_and_counted():
    x = _values(40)
    y = x[:, 0].copy()
    x[3, 1], y[7] = np.nan, np.inf
    content = population_share(y, x, NAMES, **FAST)
    assert (content["n"], content["left_out"]) == (38, 2)
    assert content["linear"]["a"]["share"] > 0.9


def test_too_few_patients_are_refused_with_the_numbers():
    x = _values(5)
    population_share(x[:, 0], x, NAMES, **FAST)
    x[0, 0] = np.nan
    with pytest.raises(DataError, match=r"at least 5 patients.*Received: 4, and 1 with undefined"):
        population_share(x[:, 1], x, NAMES, **FAST)
    with pytest.raises(DataError, match="score is the same for all 6 patients"):
        population_share(np.ones(6), _values(6), NAMES, **FAST)
    assert population_content(x[:, 1], x, NAMES)["n"] == 5
    share = PopulationShare(population_content(x[:, 1], x, NAMES))
    assert "at least 5 patients" in share.reason
    assert share.to_frame().empty


def test_the_table_and_the_file_have_the_same_numbers():
    x = _values(60)
    content = json.loads(json.dumps(population_share(x[:, 0], x, NAMES, **FAST)))
    table = population_table(content).set_index(["scale", "feature"])
    assert table.loc[("ranks", "a"), "mean"] == content["ranks"]["a"]["share"]
    assert table.loc[("flexible", "bends"), "high"] == content["flexible"]["bends"]["ci"][1]
    assert list(table.loc["linear"].index) == [*NAMES, "joint"]
    assert "a " in repr(PopulationShare(content))


def test_more_features_than_can_be_split_keep_their_joint_and_unique_shares():
    names = [f"f{i}" for i in range(11)]
    x = np.random.default_rng(0).normal(size=(60, 11))
    content = population_share(x[:, 0], x, names, permutations=200, bootstrap=100)
    assert content["linear"]["joint"]["share"] == pytest.approx(1)
    assert content["linear"]["f0"]["share"] is None
    assert content["linear"]["f0"]["unique"] > 0.7
    assert content["linear"]["f0"]["p_own"] < 0.06 < content["linear"]["f1"]["p_own"]
