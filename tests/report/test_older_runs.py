"""Runs of version 0.1 can still be reported, and their models evaluated."""

import json
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from fgf_keras.commands.evaluate_run import load_model
from fgf_keras.commands.outcome import report_again
from fgf_keras.results.interval import rounded
from fgf_keras.run.folder import RunFolder

ARCHIVE = Path(__file__).parent / "runs_0_1.tar.gz"


@pytest.fixture
def runs(tmp_path):
    with tarfile.open(ARCHIVE) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path


def test_a_run_is_reported_with_its_numbers_and_its_page_of_patients(runs):
    folder = RunFolder.open(runs / "run")
    (written,) = report_again(folder)
    text = written.with_suffix(".md").read_text(encoding="utf-8")
    test = json.loads(folder.metrics_file.read_text(encoding="utf-8"))["splits"]["test"]
    assert f"the AUC is {rounded(test['auc']['value'])} [" in text
    assert f"| brightness | {rounded(test['alignment']['mask']['S']['brightness']['mean'])} [" in text
    assert "](<patients_mask.png>)" in text
    for title in ("Does the score move with the features?", "Does alignment depend on what was learned?"):
        assert f"## {title}" in text


def found(runs):
    """The findings with the arm of each, without title and advice, whose words may become better ones."""
    content = json.loads((runs / "comparison" / "evaluation" / "findings.json").read_text(encoding="utf-8"))
    return [
        {key: each[key] for key in ("name", "found", "why")} | {"arm": each["title"].rpartition("(")[2]}
        for each in content["findings"]
    ]


def test_a_comparison_comes_to_the_same_tables(runs):
    trials, protocol = (runs / "comparison" / name for name in ("trials.csv", "protocol.csv"))
    before, intervals = trials.read_bytes(), pd.read_csv(protocol)
    findings = found(runs)
    report_again(RunFolder.open(runs / "comparison"))
    assert trials.read_bytes() == before
    # Intervals of two splits were wider than what is possible.
    for columns, within in ((("low", "high"), (0, 1)), (("difference_low", "difference_high"), (-1, 1))):
        for column in columns:
            intervals[column] = intervals[column].clip(*within)
    columns = [name for name in intervals if name != "verdict"]
    pd.testing.assert_frame_equal(pd.read_csv(protocol)[columns], intervals[columns])
    assert found(runs) == findings
    assert (runs / "comparison" / "evaluation" / "report.html").is_file()


def test_a_model_is_loaded_with_its_features(runs):
    model = load_model(RunFolder.open(runs / "run"))
    assert [feature.name for feature in model.features] == ["brightness", "extent"]
