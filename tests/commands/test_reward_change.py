"""A run with `reward.compare` also trains the network without its reward, and says what that changed."""

import json

import numpy as np
import pandas as pd
import pytest
from commands import commands
from sklearn.metrics import roc_auc_score

from fgf_keras.commands.without_reward import is_compared
from fgf_keras.config import parse_config
from fgf_keras.report.sections.reward_change import reward_change_blocks, reward_change_sentences
from fgf_keras.results.columns import patient_column
from fgf_keras.run.folder import RunFolder

KEYS = ("auc", "mask.S_brightness", "mask.S_extent", "mask.S_joint", "mask.F_joint")

SMALL = """
data: {size: 24, splits: {test: 0.3, validation: 0.25}, phantom: {patients: 40, prevalence: 0.5}}
model: {filters: [2], kernel_sizes: [3], pool_size: 4, dense: [2]}
features: [brightness, extent]
reward: {weight: 3.0}
train: {epochs: 4, measure: false}
evaluate:
  {bootstrap: 100, noise_draws: 0, pictures: 0, collapse: false, controls: false, nulls: [],
  support: [mask], flow: {steps: 2, max_steps: 8}}
run: {name: small}
"""


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("reward_change")
    (place / "small.yaml").write_text(SMALL, encoding="utf-8")
    train = ["train.py", "--config", "small.yaml"]
    ends = commands(
        {
            "compared": (*train, "reward.compare=true"),
            "plain": (*train, "reward.kind=none", "run.name=plain"),
            "again": ("evaluate.py", "--run", "runs/small/latest"),
        },
        cwd=place,
    )
    for end in ends.values():
        assert end.code == 0, end.err
    assert "Compared with the same training without the reward" in ends["compared"].out.replace("\n", " ")
    return place


def test_the_network_without_the_reward_is_that_of_a_training_with_kind_none(place):
    own, plain = (RunFolder(place / "runs" / name / "latest") for name in ("small", "plain"))
    scores = [
        pd.read_csv(folder.evaluation / "patients.csv").query("split == 'test'")["logit"].to_numpy()
        for folder in (own.without_reward, plain)
    ]
    np.testing.assert_array_equal(*scores)
    RunFolder.open(own.without_reward.path)


def test_the_change_is_that_of_the_two_tables_of_patients(place):
    own = RunFolder(place / "runs" / "small" / "latest")
    content = read(own.metrics_file)["reward_change"]
    assert (content["part"], content["support"]) == ("test", "mask")
    assert content["rewarded"] == ["brightness", "extent"]
    assert content["penalised"] == []
    tables = [
        pd.read_csv(folder.evaluation / "patients.csv", index_col="patient_id").query("split == 'test'")
        for folder in (own.without_reward, own)
    ]
    assert content["n"] == len(tables[0])
    for key in KEYS:
        values = [
            roc_auc_score(table["label"], table["logit"])
            if key == "auc"
            else table[patient_column(*key.split(".", 1))].mean()
            for table in tables
        ]
        entry = content["metrics"][key]
        np.testing.assert_allclose([entry["without"], entry["with"]], values, rtol=1e-4)
        low, high = entry["change"]["ci"]
        assert low <= entry["change"]["mean"] <= high
        np.testing.assert_allclose(entry["change"]["mean"], values[1] - values[0], atol=1e-4)


def test_an_evaluation_and_the_report_keep_it(place):
    own = RunFolder(place / "runs" / "small" / "latest")
    metrics = [read(own.metrics_file), read(own.evaluation / "metrics.json")]
    assert metrics[0]["reward_change"] == metrics[1]["reward_change"]
    report = (own.evaluation / "report.md").read_text(encoding="utf-8")
    assert "What the reward changed" in report
    assert "without the reward" in report
    findings = {each["name"]: each for each in read(own.evaluation / "findings.json")["findings"]}
    assert "no baseline" not in findings["accuracy_lost_to_reward"]["why"]


def test_what_has_no_reward_is_not_compared(tmp_path):
    for reward in ({"kind": "none"}, {"weight": 0.0}, {"compare": False}):
        assert not is_compared(parse_config({"reward": {"compare": True} | reward}))
    assert is_compared(parse_config({"reward": {"compare": True}}))
    assert reward_change_sentences(None) == ""
    assert reward_change_blocks(None) == []


def entry(without, with_reward, low, high):
    change = {"mean": with_reward - without, "ci": [low, high]}
    return {"without": without, "with": with_reward, "change": change}


def content(share, auc, accuracy=None, **more):
    metrics = {"mask.S_a": share, "mask.S_joint": share, "auc": auc, "balanced_accuracy": accuracy or auc}
    return {
        "part": "test",
        "n": 9,
        "support": "mask",
        "rewarded": ["a"],
        "penalised": [],
        "metrics": metrics,
    } | more


RISE, UNCLEAR = entry(0.5, 0.7, 0.1, 0.3), entry(0.5, 0.6, -0.1, 0.3)


@pytest.mark.parametrize(
    ("share", "auc", "accuracy", "verdict"),
    [
        (RISE, entry(0.8, 0.81, -0.1, 0.1), None, "and no loss of accuracy is shown"),
        (RISE, entry(0.8, 0.79, -0.1, 0.1), None, "and no loss of accuracy is shown"),
        (RISE, entry(0.8, 0.6, -0.3, -0.1), UNCLEAR, "at the cost of AUC:"),
        (RISE, entry(0.8, 0.81, -0.1, 0.1), entry(0.7, 0.6, -0.2, -0.1), "at the cost of balanced accuracy:"),
        (UNCLEAR, entry(0.8, 0.9, 0.05, 0.2), None, "is not shown"),
    ],
)  # fmt: skip
def test_the_sentence_says_whether_both_ends_are_met(share, auc, accuracy, verdict):
    text = reward_change_sentences(content(share, auc, accuracy))
    assert verdict in text
    assert "reaches its aim" in text
    assert "instead of 0.500" in text


def test_a_penalised_share_is_to_fall():
    better = entry(0.7, 0.8, 0.02, 0.2)
    falling = {"mask.S_marker": entry(0.6, 0.1, -0.6, -0.4), "auc": better, "balanced_accuracy": better}
    text = reward_change_sentences(content(RISE, None, rewarded=[], penalised=["marker"], metrics=falling))
    assert "S of marker in the tumour is lower, 0.100 instead of 0.600" in text
    assert "reaches its aim, and no loss" in text


def test_a_reward_on_some_features_is_judged_by_theirs():
    """All of them together may explain less, because one that is not rewarded does."""
    told = content(RISE, entry(0.7, 0.8, 0.02, 0.2))
    told["metrics"] |= {"mask.S_b": entry(0.6, 0.1, -0.6, -0.4), "mask.S_joint": entry(0.8, 0.7, -0.2, -0.05)}
    text = reward_change_sentences(told)
    assert "S of a in the tumour is higher" in text
    assert "joint" not in text
    assert "reaches its aim, and no loss" in text


def test_an_undefined_share_has_no_verdict():
    undefined = {"without": None, "with": 0.5, "change": {"mean": None, "ci": [None, None]}}
    text = reward_change_sentences(content(undefined, entry(0.7, 0.8, 0.02, 0.2)))
    assert "0.500 instead of undefined (undefined)" in text
    assert "its aim" not in text
