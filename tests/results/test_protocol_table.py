"""Means, paired differences and verdicts over splits."""

import json

import numpy as np
import pandas as pd
import pytest
from metrics_file import alignment, metrics_content, part

from fgf_keras.commands.outcome import write_tables
from fgf_keras.config import parse_config
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.results.protocol import protocol_table, trial_table
from fgf_keras.results.resampled import resampled_mean
from fgf_keras.results.study import Study

OF_SPLIT = np.array([0.5, 0.7, 0.9])
CHANGES = [0.1, -0.1, 0.1]
CONFIG = parse_config(
    {"protocol": {"arms": ["baseline", {"name": "reward", "reward": {"kind": "joint"}}], "repeats": 3}}
)


def metrics(auc, joint, undefined, brightness=True):
    shares = {"brightness": joint if brightness else None, "joint": joint}
    supports = {
        "mask": alignment(
            {"S": shares, "F": shares | {"brightness": joint}}, undefined=(undefined, 2 * undefined)
        )
    }
    return RunMetrics.of(metrics_content({"test": part(supports, auc=auc)}))


@pytest.fixture
def trials():
    """The reward adds 0.2 to S on every split, give or take 0.01; the AUC differs from split to split."""
    trials = {}
    for r, level in enumerate(OF_SPLIT):
        trials[f"repeat_{r}", "baseline"] = metrics(level, 0.5 * level, 0)
        trials[f"repeat_{r}", "reward"] = metrics(level + 0.1 * (-1) ** r, 0.5 * level + 0.2 + 0.01 * r, 1)
    return trials


def row(table, arm, figure):
    (record,) = table[(table.arm == arm) & (table.figure == figure)].to_dict(orient="records")
    return record


def written(trials, directory):
    write_tables(Study(CONFIG, "test", trials, {}), directory)
    return json.loads((directory / "protocol.json").read_text(encoding="utf-8"))


def test_differences_are_paired_by_split(trials):
    table = protocol_table(trial_table(trials, "test"), confidence=0.95)
    auc = row(table, "reward", "auc")
    assert auc["mean"] == pytest.approx(np.mean(OF_SPLIT + np.array(CHANGES)))
    assert auc["sd"] == pytest.approx(np.std(OF_SPLIT + np.array(CHANGES), ddof=1))
    expected = resampled_mean(CHANGES, n_train=40, n_test=20)
    assert (auc["difference"], auc["p"]) == pytest.approx((expected.mean, expected.p))
    assert auc["verdict"].startswith("no difference shown: AUC of reward minus baseline")
    assert row(table, "reward", "mask.S_joint")["verdict"].startswith("reward raises S_joint (mask) by 0.210")
    assert pd.isna(row(table, "baseline", "auc")["verdict"])


def test_the_order_of_trials_does_not_matter(trials):
    baseline, reward = ([key for key in trials if key[1] == arm] for arm in ("baseline", "reward"))
    others = {key: trials[key] for key in (*baseline, *reversed(reward))}
    tables = [protocol_table(trial_table(each, "test"), confidence=0.95) for each in (trials, others)]
    assert row(tables[1], "reward", "auc")["p"] == pytest.approx(row(tables[0], "reward", "auc")["p"])


def test_what_is_undefined_is_counted_and_not_averaged(trials):
    trials["repeat_1", "reward"] = metrics(0.6, 0.56, 1, brightness=False)
    table = protocol_table(trial_table(trials, "test"), confidence=0.95)
    brightness = row(table, "reward", "mask.S_brightness")
    assert (brightness["splits"], brightness["pairs"], brightness["left_out"]) == (2, 2, 3)
    assert brightness["mean"] == pytest.approx(np.mean([0.45, 0.67]))
    assert row(table, "reward", "mask.F_joint")["left_out"] == 6
    assert row(table, "reward", "auc")["left_out"] == 0


def test_a_failed_trial_is_counted(trials, tmp_path):
    trials["repeat_0", "baseline"] = None
    summary = written(trials, tmp_path)
    assert summary["failed"] == [["repeat_0", "baseline"]]
    splits = {(record["arm"], record["splits"], record["pairs"]) for record in summary["figures"]}
    assert splits == {("baseline", 2, None), ("reward", 3, 2)}
    assert "(2 of 3 splits)" in (tmp_path / "protocol.md").read_text(encoding="utf-8")


def test_json_csv_and_markdown_hold_the_same_numbers(trials, tmp_path):
    summary = written(trials, tmp_path)
    assert (summary["n_train"], summary["n_test"], summary["arms"]) == (40, 20, ["baseline", "reward"])
    frame = pd.read_csv(tmp_path / "protocol.csv")
    assert len(frame) == len(summary["figures"])
    for record, (_, line) in zip(summary["figures"], frame.iterrows()):
        assert record["mean"] == pytest.approx(line["mean"])
    text = (tmp_path / "protocol.md").read_text(encoding="utf-8")
    assert "reward raises S_joint (mask)" in text
    assert "0 / 3" in text
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 6
