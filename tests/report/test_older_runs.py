"""Runs of version 0.1 can still be reported, and their models evaluated."""

import json
import tarfile
from pathlib import Path

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
    """The findings, without the advice, whose words may become better ones."""
    content = json.loads((runs / "comparison" / "evaluation" / "findings.json").read_text(encoding="utf-8"))
    return [{key: value for key, value in each.items() if key != "try"} for each in content["findings"]]


def test_a_comparison_comes_to_the_same_tables(runs):
    before = {name: (runs / "comparison" / name).read_bytes() for name in ("protocol.csv", "trials.csv")}
    findings = found(runs)
    report_again(RunFolder.open(runs / "comparison"))
    for name, content in before.items():
        assert (runs / "comparison" / name).read_bytes() == content, name
    assert found(runs) == findings
    assert (runs / "comparison" / "evaluation" / "report.html").is_file()


def test_a_model_is_loaded_with_its_features(runs):
    model = load_model(RunFolder.open(runs / "run"))
    assert [feature.name for feature in model.features] == ["brightness", "extent"]
