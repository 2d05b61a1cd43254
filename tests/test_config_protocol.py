"""Which arms a configuration means, and which it cannot."""

import pytest

from fgf_keras.config import parse_config
from fgf_keras.errors import ConfigError

TWO = {"features": ["brightness", "extent"], "reward": {"kind": "sum", "weight": 0.3, "warmup_epochs": 4}}


def arms_of(**tree):
    return {arm.name: arm.reward for arm in parse_config(TWO | tree).arms}


def test_named_arms_take_all_else_from_the_reward():
    names = ["baseline", "sum", "joint", "signed", "distil", "flow", "placebo"]
    arms = arms_of(protocol={"arms": names})
    assert [arms[name].kind for name in arms] == ["none", "sum", "joint", "signed", "distil", "flow", "sum"]
    assert arms["placebo"].features == ["noise"]
    assert {(reward.weight, reward.warmup_epochs) for reward in arms.values()} == {(0.3, 4)}


def test_a_reward_is_on_the_features_with_a_weight():
    def rewarded(**reward):
        return parse_config(TWO | {"reward": {"kind": "sum"} | reward}).reward.rewarded(TWO["features"])

    assert rewarded(weight=0.1) == ["brightness", "extent"]
    assert rewarded(weight={"extent": 0.1}) == ["extent"]
    assert rewarded(weight=0.1, features=["noise"]) == ["noise"]
    assert rewarded(weight=0.0) == rewarded(kind="none") == []


def test_a_single_run_has_no_arms_and_repeats_have_one():
    assert arms_of() == {}
    assert list(arms_of(protocol={"repeats": 2})) == ["run"]


def test_an_ablation_leaves_each_feature_out_of_the_first_reward():
    arms = arms_of(protocol={"arms": ["baseline", "joint"], "ablation": True})
    assert list(arms) == ["baseline", "joint", "without_brightness", "without_extent"]
    assert arms["without_extent"].features == ["brightness"]
    assert arms["without_extent"].kind == "joint"


def test_an_ablation_leaves_the_weight_out_as_well():
    reward = {"kind": "sum", "weight": {"brightness": 0.1, "extent": 0.2}}
    assert arms_of(reward=reward, protocol={"ablation": True})["without_extent"].weight == {"brightness": 0.1}


def test_a_sweep_is_a_logarithmic_grid_beside_a_baseline():
    arms = arms_of(sweep={"lowest": 0.01, "highest": 1.0, "points": 3, "kinds": ["joint"]})
    assert [(name, reward.kind, reward.weight) for name, reward in arms.items()] == [
        ("baseline", "none", 0.3),
        ("joint_0.01", "joint", 0.01),
        ("joint_0.1", "joint", 0.1),
        ("joint_1", "joint", 1.0),
    ]


def test_folders_of_splits_sort_as_they_are_counted():
    names = parse_config(TWO | {"protocol": {"repeats": 11, "folds": 2}}).protocol.split_names
    assert names == sorted(names)
    assert (len(names), names[0], names[-1]) == (22, "repeat_00_fold_0", "repeat_10_fold_1")


def test_an_ablation_leaves_out_what_is_rewarded_alone():
    aims = {"targets": {"extent": "penalise"}}
    three = {"features": ["brightness", "extent", "log_aspect_ratio"], "reward": {"kind": "sum"} | aims}
    arms = {arm.name: arm.reward for arm in parse_config(three | {"protocol": {"ablation": True}}).arms}
    assert list(arms)[1:] == ["without_brightness", "without_log_aspect_ratio"]
    assert arms["without_brightness"].penalised(three["features"]) == ["extent"]
    with pytest.raises(ConfigError, match="no such arm"):
        parse_config(TWO | {"reward": {"targets": {"extent": "ignore"}}, "protocol": {"ablation": True}})


def test_infinity_is_no_limit():
    assert parse_config({"reward": {"max_ratio": float("inf")}}).reward.max_ratio is None


def test_a_baseline_is_chosen_from_the_same_epochs_and_needs_no_other_run():
    reward = {"kind": "signed", "start_epoch": 3, "fine_tune": "baseline", "guard": {"baseline": "baseline"}}
    arms = arms_of(reward=reward, protocol={"arms": ["baseline", "signed", "placebo"]})
    assert arms["signed"].runs == {"fine_tune": "baseline", "guard.baseline": "baseline"}
    assert arms["placebo"].runs == arms["signed"].runs
    assert (arms["baseline"].start_epoch, arms["baseline"].runs) == (3, {})
    placed = arms["signed"].with_runs({"baseline": "runs/a"})
    assert placed.runs == {"fine_tune": "runs/a", "guard.baseline": "runs/a"}


def test_a_reward_is_not_on_what_it_penalises():
    reward = {"targets": {"extent": "penalise"}}
    reward = parse_config(TWO | {"reward": reward}).reward
    assert reward.rewarded(TWO["features"]) == ["brightness"]
    assert reward.penalised(TWO["features"]) == ["extent"]


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"protocol": {"arms": ["basline"]}}, ["protocol.arms.0", "'basline'", "did you mean 'baseline'"]),
        ({"protocol": {"arms": [{"name": "a", "rewards": {}}]}}, ["protocol.arms.0.rewards", "reward"]),
        ({"protocol": {"arms": ["sum", "sum"]}}, ["more than once", "sum"]),
        ({"protocol": {"arms": [{"name": "a", "reward": {"weight": -1.0}}]}}, ["arms.0.reward", "-1.0"]),
        ({"protocol": {"folds": 1}}, ["protocol.folds", "2"]),
        ({"protocol": {"ablation": True, "arms": ["baseline"]}}, ["ablation", "no such arm"]),
        ({"reward": {"features": ["extend"]}}, ["'extend'", "did you mean 'extent'"]),
        ({"reward": {"features": ["extent"], "weight": {"brightness": 0.1}}}, ["'brightness'", "extent"]),
        ({"reward": {"weight": {"extent": 0.1}}, "protocol": {"arms": ["placebo"]}}, ["arm placebo"]),
        ({"sweep": {}, "protocol": {"arms": ["sum"]}}, ["sweep", "protocol.arms"]),
        ({"sweep": {"kinds": ["none"]}}, ["sweep.kinds.0", "'none'", "sum, joint, signed, distil, flow"]),
        ({"reward": {"max_ratio": 0.0}}, ["reward.max_ratio", "greater than 0"]),
        ({"reward": {"compare": True, "fine_tune": "runs/one"}}, ["compare", "fine_tune", "runs/one"]),
        ({"reward": {"targets": {"extend": "penalise"}}}, ["targets for 'extend'", "did you mean 'extent'"]),
        ({"reward": {"targets": {"extent": "punish"}}}, ["reward.targets.extent", "'penalise'"]),
        ({"reward": {"targets": dict.fromkeys(TWO["features"], "ignore")}}, ["every feature is ignored"]),
        ({"reward": {"kind": "signed", "direction": {"extend": 1.0}}}, ["direction for 'extend'"]),
        ({"reward": {"kind": "signed", "direction": {"extent": 1.0}}}, ["direction", "brightness"]),
        ({"reward": {"kind": "distil", "weight": {"extent": 1.0}}}, ["the distil reward takes one number"]),
        ({"reward": {"kind": "signed", "direction": {}}}, ["direction: must not be 0 for all"]),
        ({"reward": {"start_epoch": 60}}, ["start_epoch", "60 epochs"]),
        ({"reward": {"guard": {"factor": 1.0}}}, ["reward.guard.factor", "less than 1"]),
        (
            {"protocol": {"arms": [{"name": "a", "reward": {"fine_tune": "a"}}]}},
            ["arm a: fine_tune", "an arm that needs no other one", "'a'"],
        ),
        ({"sweep": {"lowest": 2.0, "highest": 1.0}}, ["sweep", "highest"]),
    ],
)
def test_what_cannot_be_meant_is_refused(tree, words):
    with pytest.raises(ConfigError) as caught:
        parse_config(TWO | tree)
    for word in words:
        assert word in str(caught.value)
