"""What a reader is told about the bars: of a network, and of the arms of a comparison."""

import dataclasses

import numpy as np
import pytest
from metrics_file import alignment, bar, metrics_content, part

from fgf_keras.config import parse_config
from fgf_keras.report.document import Fold, Table, Text
from fgf_keras.report.markdown import blocks_as_markdown
from fgf_keras.report.sections.bars import bar_blocks, bar_lead, study_bar_blocks, study_bar_lead
from fgf_keras.report.sections.protocol import protocol_blocks, protocol_summary
from fgf_keras.report.sections.side_by_side import side_by_side_table
from fgf_keras.results.bar_standing import part_standing
from fgf_keras.results.findings import run_findings
from fgf_keras.results.metrics import RunMetrics, metrics_table
from fgf_keras.results.protocol import protocol_table, trial_table
from fgf_keras.results.resampled import resampled_mean
from fgf_keras.results.study import Study

SHARES = {"brightness": 0.3, "joint": 0.5}
FITTED = {
    "n": 209,
    "n_positive": 28,
    "models": {
        "area": {
            "columns": {"slice area [mm²]": {"mean": 700.0, "sd": 300.0, "coefficient": 0.8}},
            "intercept": 0.1,
            "C": 0.01,
            "left_out": {},
        },
        "features": {
            "columns": {"brightness": {"mean": 60.0, "sd": 20.0, "coefficient": -0.3}},
            "intercept": 0.1,
            "C": 1.0,
            "left_out": {"extent": "3 for every patient"},
        },
        "clinical": {"reason": "no column tells patients apart: stage is 1 for every patient"},
    },
}


def run_with(bars, auc=0.7, fitted=FITTED):
    content = metrics_content({"test": part({"mask": alignment(SHARES)}, auc=auc, bars=bars)})
    return RunMetrics.of(content | ({"bars": fitted} if fitted else {}))


@pytest.mark.parametrize(
    ("difference", "half", "outcome", "said"),
    [
        (0.1, 0.05, "clears", "The network clears its best bar, a logistic regression on the named features"),
        (0.1, 0.2, "above", "is not shown to clear its best bar"),
        (-0.1, 0.2, "below", "The network does not clear its best bar"),
        (-0.1, 0.05, "falls short", "The network falls short of its best bar"),
        (0.0, 0.0, "below", "does not clear"),
    ],
)
def test_the_first_paragraph_says_where_the_network_stands(difference, half, outcome, said):
    metrics = run_with({"area": (0.5, 0.2, 0.01), "features": (0.7 - difference, difference, half)})
    test = metrics.parts["test"]
    standing = part_standing(test)
    assert (standing.bar, standing.outcome) == ("features", outcome)
    (lead,) = bar_lead(test, 0.95)
    assert lead.lead
    assert said in lead.text
    assert f"AUC 0.700 against {0.7 - difference:.3f}" in lead.text
    honest = {"above": "may be luck", "below": "nothing shows that it is better"}
    assert (honest.get(outcome, "\0") in lead.text) is (outcome in honest)


def test_the_best_bar_is_that_of_the_largest_auc():
    metrics = run_with({"area": (0.71, -0.01, 0.1), "features": (0.69, 0.01, 0.1)})
    assert part_standing(metrics.parts["test"]).bar == "area"
    assert "the area of the slice alone" in bar_lead(metrics.parts["test"], 0.95)[0].text


def test_the_table_holds_network_and_bars_and_the_text_what_they_are():
    metrics = run_with({"area": (0.6, 0.1, 0.05), "features": (0.65, 0.05, 0.1)})
    table, text, fold = bar_blocks(metrics, metrics.parts["test"])
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["the network", "bar: area", "bar: features"]
    assert table.rows[0][1] == "0.700 [0.600, 0.800]"
    assert table.rows[2][3] == "+0.050 [-0.050, +0.150]"
    for said in (
        "training and validation",
        "209 patients, 28 of them positive",
        "Left out of the bar on the named features: extent is 3 for every patient.",
        "There is no bar on the clinical columns: no column tells patients apart",
        "the largest AUC here, which favours it",
    ):
        assert said in text.text
    assert isinstance(fold, Fold)
    (weights,) = fold.blocks
    assert ["slice area [mm²]", "+0.800", "700.000", "300.000"] in weights.rows


def test_patients_without_a_value_and_cohorts_without_a_column_are_told():
    content = part({"mask": alignment(SHARES)}, bars={})
    content["bars"]["area"] = bar(0.6, 0.1, 0.1, undefined=3)
    metrics = RunMetrics.of(metrics_content({"external": content}) | {"bars": FITTED})
    _, text, _ = bar_blocks(metrics, metrics.parts["external"])
    assert "For 3 external patients the bar on the area of the slice lacks a value" in text.text
    assert "The bar on the named features needs columns that these patients lack." in text.text


def test_files_of_earlier_versions_say_nothing():
    metrics = run_with(None, fitted=None)
    test = metrics.parts["test"]
    assert test.bars == []
    assert bar_lead(test, 0.95) == bar_blocks(metrics, test) == []
    assert not any("bar" in row[0] for row in side_by_side_table({"run": test}, "").rows)


def test_metrics_are_one_table():
    rows = metrics_table(run_with({"area": (0.6, 0.1, 0.05)}).content).loc["test"]
    row = rows.loc["over_bar_auc_area"]
    assert (row["quantity"], row["feature"], row["support"]) == ("over_bar_auc", "area", "")
    np.testing.assert_allclose([row["mean"], row["low"], row["high"]], [0.1, 0.05, 0.15])
    assert rows.loc["bar_balanced_accuracy_area", "mean"] == 0.6


# Over three splits: AUC of two arms, and of two bars.
ARMS = {"baseline": [0.70, 0.66, 0.72], "sum": [0.60, 0.50, 0.62]}
AREA, FEATURES = [0.55, 0.60, 0.58], [0.66, 0.71, 0.69]


@pytest.fixture(scope="module")
def study():
    config = parse_config({"features": ["brightness"], "protocol": {"arms": list(ARMS), "repeats": 3}})
    metrics = {}
    for k in range(3):
        for arm, aucs in ARMS.items():
            bars = {
                "area": (AREA[k], aucs[k] - AREA[k], 0.1),
                "features": (FEATURES[k], aucs[k] - FEATURES[k], 0.1),
            }
            metrics[f"repeat_{k}", arm] = run_with(bars, auc=aucs[k])
    return Study(config, "test", metrics, {})


def test_a_comparison_has_a_row_for_every_bar_and_arm(study):
    table, _ = study_bar_blocks(study)
    assert [row[0] for row in table.rows] == [
        *("bar: area", "the bar itself", "baseline", "sum"),
        *("bar: features", "the bar itself", "baseline", "sum"),
    ]
    own, _, of_sum = table.rows[5:]
    assert own[1] == f"{np.mean(FEATURES):.3f} ± {np.std(FEATURES, ddof=1):.3f}"
    differences = np.subtract(ARMS["sum"], FEATURES)
    expected = resampled_mean(differences, n_train=40, n_test=20)
    assert of_sum[3] == f"{expected.mean:.3f} [{expected.low:.3f}, {expected.high:+.3f}]"
    names = {row[0] for row in protocol_blocks(study)[0].rows}
    assert not any("bar" in name for name in names)
    assert "the bar itself" in blocks_as_markdown(protocol_blocks(study))
    assert any(isinstance(block, Table) and "bars" in block.caption for block in protocol_summary(study))


def test_trials_hold_bars_and_arms_are_not_compared_in_them(study):
    trials = trial_table(study.metrics, "test")
    assert trials["bar_auc_area"].tolist() == [a for a in AREA for _ in ARMS]
    table = protocol_table(trials, confidence=0.95).set_index(["arm", "figure"])
    row = table.loc["sum", "over_bar_auc_features"]
    # An accuracy is at least 0; a difference may be less.
    assert row["low"] < row["mean"] < 0
    assert row[["difference", "verdict"]].isna().all()
    assert table.loc[("sum", "auc"), "verdict"]


def test_the_first_paragraph_of_a_comparison_tells_every_arm(study, monkeypatch):
    monkeypatch.setattr(Study, "_trial_results", property(trial_results))
    (lead,) = study_bar_lead(study.arm_results, 0.95)
    assert isinstance(lead, Text)
    means = {arm: np.mean(aucs) for arm, aucs in ARMS.items()}
    bar_mean = np.mean(FEATURES)
    for arm, verb in (("baseline", "is not shown to clear it"), ("sum", "does not clear it")):
        assert f"{arm} ({means[arm] - bar_mean:+.3f} [" in lead.text
        assert f"]) {verb}" in lead.text
    assert f"a regression on the named features alone, AUC {bar_mean:.3f}: " in lead.text
    assert lead.text.index("baseline") < lead.text.index("sum")
    assert "one that includes 0 shows neither" in lead.text


def test_arms_of_one_outcome_share_a_verb(study, monkeypatch):
    monkeypatch.setattr(Study, "_trial_results", property(trial_results))
    one, two = study.arm_results
    twin = dataclasses.replace(two, name="joint")
    (lead,) = study_bar_lead([one, two, twin], 0.95)
    assert " and joint (" in lead.text
    assert "]) do not clear it" in lead.text


def trial_results(study):
    """Results without tables of patients, which bars do not need."""
    from fgf_keras.results.arm import TrialResult

    return {key: TrialResult(metrics.parts["test"], None, None, 40) for key, metrics in study.metrics.items()}


def test_it_is_a_finding_only_where_bars_were_measured(study):
    names = {True: {"area": (0.8, -0.1, 0.05)}, False: None}
    for measured, bars in names.items():
        metrics = run_with(bars)
        result = trial_results(Study(study.config, "test", {("", "a"): metrics}, {}))["", "a"]
        found = _only_bars(result, study)
        assert [each["found"] for each in found] == [True] * measured


def _only_bars(result, study):
    import pandas as pd

    patients = pd.DataFrame({"logit": [0.0, 1], "label": [0, 1], "split": "test", "mask.status": "reached"})
    patients = patients.assign(**{f"mask.{n}": 0.5 for n in ("gradient_norm", "S_joint", "F_joint")})
    result = type(result)(result.metrics, patients, None, 40)
    config = study.config
    findings = run_findings(result, config.reward, ["brightness"], config.evaluate, seed=0)
    return [each for each in findings if each["name"] == "below_its_bar"]
