"""Which laws a section `truth` means, and which it cannot."""

from pathlib import Path

import pytest

from fgf_keras.config import dump_yaml, load_config, parse_config
from fgf_keras.errors import ConfigError
from fgf_keras.run.trial import trials_of

TRUTH = Path(__file__).parent.parent / "configs" / "truth.yaml"
LAWS = {"laws": {"nothing": {}, "bright": {"brightness": 4.0}}, "prevalences": [0.5, 0.05]}


def test_every_law_meets_every_prevalence_with_the_reward_of_the_section():
    config = parse_config({"truth": LAWS, "reward": {"kind": "joint", "weight": 0.2}})
    assert [arm.name for arm in config.arms] == ["nothing_0.5", "nothing_0.05", "bright_0.5", "bright_0.05"]
    assert all(arm.reward == config.reward for arm in config.arms)
    laws = [trial.config(config).data.phantom for trial in trials_of(config)]
    assert [(law.prevalence, law.brightness, law.extent) for law in laws] == [
        (0.5, 0, 0),
        (0.05, 0, 0),
        (0.5, 4, 0),
        (0.05, 4, 0),
    ]


def test_repeats_are_other_phantoms_and_laws_share_theirs():
    config = parse_config({"truth": LAWS, "protocol": {"repeats": 2}, "seed": 3})
    seeds = [(trial.split, trial.config(config).phantom_seed) for trial in trials_of(config)]
    assert len(set(seeds)) == len({seed for _, seed in seeds}) == 2


def test_a_trial_is_the_configuration_of_a_single_run():
    config = parse_config({"truth": LAWS})
    own = trials_of(config)[3].config(config)
    assert own.arms == []
    assert parse_config(own.model_dump()) == own


def test_the_file_names_the_defaults(tmp_path):
    config = load_config(TRUTH)
    assert config.truth == parse_config({"truth": {}}).truth
    (tmp_path / "again.yaml").write_text(dump_yaml(config), encoding="utf-8")
    assert load_config(tmp_path / "again.yaml") == config


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        ({"prevalences": [0.5, 1.0]}, ["truth.prevalences.1", "less than 1", "1.0"]),
        ({"prevalences": []}, ["truth.prevalences", "at least 1"]),
        ({"prevalences": [0.5, 0.50]}, ["prevalences", "more than once"]),
        ({"laws": {"a": {"brigthness": 1.0}}}, ["truth.laws.a.brigthness", "did you mean 'brightness'?"]),
        ({"laws": {"a": {}}}, ["laws.a", "all coefficients are 0", "'nothing'"]),
        ({"laws": {"nothing": {"extent": 1.0}}}, ["laws.nothing", "another name"]),
        ({"laws": {"a/b": {"extent": 1.0}}}, ["names a folder"]),
        ({"laws": {}}, ["truth.laws", "at least 1"]),
    ],
)
def test_laws_that_cannot_be_meant_are_refused(truth, words):
    with pytest.raises(ConfigError) as caught:
        parse_config({"truth": truth})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"data": {"source": "png", "root": "there"}}, ["truth", "data.source", "'png'"]),
        ({"protocol": {"folds": 3}}, ["truth", "protocol.folds"]),
        ({"protocol": {"arms": ["baseline"]}}, ["truth", "protocol.arms"]),
        ({"sweep": {}}, ["truth", "sweep"]),
        ({"train": {"measure": False, "monitor": "val_S_joint"}}, ["train.measure", "val_S_joint"]),
    ],
)
def test_what_goes_with_no_truth_is_refused(tree, words):
    with pytest.raises(ConfigError) as caught:
        parse_config({"truth": LAWS} | tree)
    for word in words:
        assert word in str(caught.value)
