"""Means, paired differences and verdicts over splits."""

import numpy as np
import pandas as pd
import pytest

from fgf_keras.config import parse_config
from fgf_keras.evaluation.protocol_report import report_protocol
from fgf_keras.evaluation.protocol_table import protocol_table, trial_table
from fgf_keras.evaluation.resampled_difference import resampled_mean
from fgf_keras.run_folder import read_json

OF_SPLIT = np.array([0.5, 0.7, 0.9])
CHANGES = [0.1, -0.1, 0.1]


def metrics(auc, joint, undefined):
    figure = {"value": 0.6}
    kind = {
        "brightness": {"mean": joint},
        "joint": {"squared": {"mean": joint}, "magnitude": {"mean": joint}},
    }
    table = {"S": kind, "F": kind, "undefined": {"S": undefined, "F": 2 * undefined}}
    held = dict.fromkeys(("balanced_accuracy", "sensitivity", "specificity"), figure) | {
        "auc": {"value": auc}
    }
    return {"n_train": 40, "splits": {"test": {"n": 20, "alignment": {"mask": table}, **held}}}


@pytest.fixture
def found():
    """The reward adds 0.2 to S on every split, give or take 0.01; the AUC differs from split to split."""
    found = {}
    for r, level in enumerate(OF_SPLIT):
        found[f"repeat_{r}", "baseline"] = metrics(level, 0.5 * level, 0)
        found[f"repeat_{r}", "reward"] = metrics(level + 0.1 * (-1) ** r, 0.5 * level + 0.2 + 0.01 * r, 1)
    return found


def row(table, arm, figure):
    (found,) = table[(table.arm == arm) & (table.figure == figure)].to_dict(orient="records")
    return found


def test_differences_are_paired_by_split(found):
    table = protocol_table(trial_table(found, "test"), confidence=0.95)
    auc = row(table, "reward", "auc")
    assert auc["mean"] == pytest.approx(np.mean(OF_SPLIT + np.array(CHANGES)))
    assert auc["sd"] == pytest.approx(np.std(OF_SPLIT + np.array(CHANGES), ddof=1))
    expected = resampled_mean(CHANGES, n_train=40, n_test=20)
    assert (auc["difference"], auc["p"]) == pytest.approx((expected.mean, expected.p))
    assert auc["verdict"].startswith("no difference shown: AUC of reward minus baseline")
    assert row(table, "reward", "mask.S_joint")["verdict"].startswith("reward raises S_joint (mask) by 0.210")
    assert pd.isna(row(table, "baseline", "auc")["verdict"])


def test_the_order_of_trials_does_not_matter(found):
    baseline, reward = ([key for key in found if key[1] == arm] for arm in ("baseline", "reward"))
    others = {key: found[key] for key in (*baseline, *reversed(reward))}
    tables = [protocol_table(trial_table(each, "test"), confidence=0.95) for each in (found, others)]
    assert row(tables[1], "reward", "auc")["p"] == pytest.approx(row(tables[0], "reward", "auc")["p"])


def test_what_is_undefined_is_counted_and_not_averaged(found):
    alignment = found["repeat_1", "reward"]["splits"]["test"]["alignment"]["mask"]
    found["repeat_1", "reward"]["splits"]["test"]["alignment"]["mask"] = alignment | {
        "S": alignment["S"] | {"brightness": {"mean": None}}
    }
    table = protocol_table(trial_table(found, "test"), confidence=0.95)
    held = row(table, "reward", "mask.S_brightness")
    assert (held["splits"], held["pairs"], held["left_out"]) == (2, 2, 3)
    assert held["mean"] == pytest.approx(np.mean([0.45, 0.67]))
    assert row(table, "reward", "mask.F_joint")["left_out"] == 6
    assert row(table, "reward", "auc")["left_out"] == 0


def test_a_failed_trial_is_counted(found, tmp_path):
    found["repeat_0", "baseline"] = None
    report_protocol(parse_config({}), found, "test", tmp_path)
    summary = read_json(tmp_path / "protocol.json")
    assert summary["failed"] == [["repeat_0", "baseline"]]
    splits = {(row["arm"], row["splits"], row["pairs"]) for row in summary["figures"]}
    assert splits == {("baseline", 2, None), ("reward", 3, 2)}
    assert "(2 of 3 splits)" in (tmp_path / "protocol.md").read_text(encoding="utf-8")


def test_a_report_leaves_the_same_numbers_as_json_csv_and_markdown(found, tmp_path):
    report_protocol(parse_config({}), found, "test", tmp_path)
    summary = read_json(tmp_path / "protocol.json")
    assert (summary["n_train"], summary["n_test"], summary["arms"]) == (40, 20, ["baseline", "reward"])
    frame = pd.read_csv(tmp_path / "protocol.csv")
    assert len(frame) == len(summary["figures"])
    for record, (_, line) in zip(summary["figures"], frame.iterrows()):
        assert record["mean"] == pytest.approx(line["mean"])
    text = (tmp_path / "protocol.md").read_text(encoding="utf-8")
    assert "reward raises S_joint (mask)" in text
    assert "0 / 3" in text
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 6
