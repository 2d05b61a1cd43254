"""The report on a comparison: every arm, what failed, what was chosen, pages of patients."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from fgf_keras.commands.evaluation import evaluate
from fgf_keras.commands.outcome import read_study, report_again
from fgf_keras.config import parse_config
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.files import write_json
from fgf_keras.report.comparison import comparison_report
from fgf_keras.report.html import as_html
from fgf_keras.report.markdown import as_markdown
from fgf_keras.report.sections.ablation import ablation_section
from fgf_keras.report.sections.overview import detailed_arms, overview_section
from fgf_keras.report.sections.provenance import Provenance
from fgf_keras.results.interval import rounded
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.results.protocol import protocol_table
from fgf_keras.results.study import Study
from fgf_keras.run.folder import RunFolder
from fgf_keras.run.trial import trials_of
from fgf_keras.training.build import build_model
from fgf_keras.training.environment import environment

BASE = {
    "data": {"size": 24, "phantom": {"patients": 36, "prevalence": 0.4}},
    "model": {"filters": [4], "kernel_sizes": [3], "pool_size": 4, "dense": [4]},
    "features": ["brightness"],
    "evaluate": {"bootstrap": 100, "pictures": 0, "support": ["mask"], "nulls": ["smooth"], "null_draws": 20},
    "run": {"name": "compared"},
}
PROTOCOL = parse_config(BASE | {"protocol": {"arms": ["baseline", "joint"], "repeats": 2}})
SWEEP = parse_config(
    BASE
    | {"protocol": {"repeats": 2}, "sweep": {"lowest": 0.01, "highest": 1.0, "points": 2, "tolerance": 0.9}}
)
SPLITS = {"train": np.arange(12), "validation": np.arange(12, 24), "test": np.arange(24, 36)}


@pytest.fixture(scope="module")
def cohort():
    data = PROTOCOL.data
    return phantom_cohort(data.phantom, size=data.size, window=data.window, spacing=data.spacing, seed=0)


@pytest.fixture(scope="module")
def evaluations(cohort):
    """Two networks, measured once each."""
    models = [build_model(PROTOCOL, cohort.images.shape[1:], 2) for _ in range(2)]
    return [
        evaluate(model, cohort, SPLITS, PROTOCOL.evaluate, reward=PROTOCOL.reward, seed=0, n_train=12)
        for model in models
    ]


@pytest.fixture(scope="module")
def surroundings(cohort):
    return environment(PROTOCOL, cohort, SPLITS)


def study_of(config, evaluations, failed=(), part="test"):
    """Networks take turns; those that failed have no metrics."""
    keys = [(trial.split, trial.arm.name) for trial in trials_of(config)]
    used = {key: evaluations[i % 2] for i, key in enumerate(keys) if key not in failed}
    metrics = {key: RunMetrics.of(used[key].metrics) if key in used else None for key in keys}
    patients = {key: evaluation.patients for key, evaluation in used.items()}
    failures = {"/".join(key): "The loss is not finite." for key in failed}
    return Study(config, part, metrics, patients, {}, failures, dict.fromkeys(keys, 0.9))


def report(study, surroundings):
    provenance = Provenance(study.config, surroundings, "python train.py")
    return comparison_report(provenance, study, surroundings["data"], pages={})


@pytest.fixture(scope="module")
def protocol(evaluations, surroundings):
    return report(study_of(PROTOCOL, evaluations, failed=[("repeat_1", "joint")]), surroundings)


def test_the_sections_of_a_comparison(protocol):
    names = [section.name for section in protocol.sections]
    assert names[:5] == ["summary", "question", "data", "arms", "roc"]
    assert names[5:] == ["alignment", "pictures", "settings", "limits", "provenance"]
    html, markdown = as_html(protocol), as_markdown(protocol)
    assert re.findall(r'<section id="([^"]+)">', html) == names
    assert markdown.count("\n## ") == len(names)
    assert "No pictures were asked for" in markdown


def test_failed_trainings_are_counted_and_told(protocol):
    markdown = as_markdown(protocol)
    assert "4 trainings, 1 of them failed" in markdown
    assert "repeat_1/joint: The loss is not finite." in markdown
    assert not re.search(r"\bnan\b|None(?! of)", markdown)


def test_arms_are_told_with_the_figures_of_the_table(protocol, evaluations):
    table = study_of(PROTOCOL, evaluations, [("repeat_1", "joint")]).protocol
    row = table[(table["arm"] == "baseline") & (table["figure"] == "mask.S_joint")].iloc[0]
    markdown = as_markdown(protocol)
    assert f"{rounded(row['mean'])} ± {rounded(row['sd'])}" in markdown
    for sentence in table["verdict"].dropna():
        assert sentence in markdown


def test_plots_are_named_apart(protocol):
    names = [plot.name for plot in protocol.plots()]
    assert names == ["arms", "roc", "alignment_repeat_0_baseline_mask", "alignment_repeat_0_joint_mask"]


def test_a_sweep_shows_what_alignment_costs_and_what_was_chosen(evaluations, surroundings):
    failed = [("repeat_0", "joint_1"), ("repeat_1", "joint_1")]
    shown = report(study_of(SWEEP, evaluations, failed), surroundings)
    assert "trade-off" in [section.name for section in shown.sections]
    markdown = as_markdown(shown)
    assert "sum: the largest λ that loses at most 0.9 of validation AUC is sum_1." in markdown
    assert "is joint_0.01." in markdown
    assert "10 trainings, 2 of them failed" in markdown
    # The arms in detail are the baseline and those chosen.
    assert [name for name in [plot.name for plot in shown.plots()] if name.startswith("alignment")] == [
        "alignment_repeat_0_baseline_mask",
        "alignment_repeat_0_sum_1_mask",
        "alignment_repeat_0_joint_0.01_mask",
    ]


def test_another_cohort_has_no_trade_off_to_choose_by(evaluations, surroundings):
    other = [
        dataclasses.replace(
            each,
            metrics=each.metrics | {"splits": {"external": each.metrics["splits"]["test"]}},
            patients=each.patients.replace({"split": {"test": "external"}}),
        )
        for each in evaluations
    ]
    data = surroundings["data"] | {"patients": 12, "positive": 5, "fingerprint": "0" * 64}
    data |= {"splits": {"external": 12}, "positive_splits": {"external": 5}}
    shown = report(study_of(SWEEP, other, part="external"), surroundings | {"data": data})
    assert "trade-off" not in [section.name for section in shown.sections]


def test_many_arms_are_shown_by_the_first_and_those_chosen(evaluations):
    assert detailed_arms(study_of(PROTOCOL, evaluations)) == ["baseline", "joint"]
    failed = [("repeat_0", "joint_1"), ("repeat_1", "joint_0.01"), ("repeat_1", "joint_1")]
    assert detailed_arms(study_of(SWEEP, evaluations, failed)) == ["baseline", "sum_1"]
    first = ["baseline", "sum_0.01", "sum_1", "joint_0.01"]
    assert detailed_arms(study_of(SWEEP, evaluations, part="external")) == first


def test_two_arms_on_one_split_are_side_by_side_without_a_test(evaluations, surroundings):
    config = parse_config(BASE | {"protocol": {"arms": ["baseline", "joint"]}})
    markdown = as_markdown(report(study_of(config, evaluations), surroundings))
    assert "One split and one seed" in markdown
    assert "corrected resampled" not in markdown


def test_findings_stand_in_short(evaluations, surroundings):
    study = study_of(PROTOCOL, evaluations)
    for finding in study.findings:
        finding["found"] = finding["name"] == "unstable_alignment"
    markdown = as_markdown(report(study, surroundings))
    # One notice for both arms.
    title = "> **alignment undefined or unstable for many patients (baseline, joint)**"
    assert markdown.index(title) < markdown.index("## What was asked")


def test_arms_of_known_laws_are_told_by_their_laws_and_not_subtracted(evaluations, surroundings):
    laws = {"nothing": {}, "extent_only": {"extent": 4.0}}
    config = parse_config(BASE | {"protocol": {"repeats": 2}, "truth": {"laws": laws, "prevalences": [0.4]}})
    shown = report(study_of(config, evaluations), surroundings)
    assert "truth" in [plot.name for plot in shown.plots()]
    markdown = as_markdown(shown)
    assert "| extent_only_0.4 | extent 4 | 0.4 |" in markdown
    assert "| nothing_0.4 | none, random labels | 0.4 |" in markdown
    assert "Paired difference" not in markdown


def test_shares_of_an_ablation_are_shown(evaluations):
    row = {"support": "mask", "feature": "brightness", "unique_left_out": 3}
    for name in ("unique", "shapley", *(f"without_reward_{n}" for n in ("S_feature", "S_joint", "auc"))):
        row |= {name: 0.25, f"{name}_low": None, f"{name}_high": None}
    arms = {"protocol": {"arms": ["baseline", "joint"], "repeats": 2, "ablation": True}}
    study = study_of(parse_config(arms | {"features": ["brightness", "extent"]}), evaluations)
    # Computed from trials in test_ablation.py.
    vars(study)["ablation"] = pd.DataFrame(
        [row | {"without_reward_auc_low": 0.1, "without_reward_auc_high": 0.4}]
    )
    lead, table = ablation_section(study).blocks
    assert "joint S of joint" in lead.text
    assert table.rows == [["brightness (mask)", *["0.250"] * 4, "0.250 [0.100, 0.400]", "3"]]


@pytest.fixture
def whole(evaluations, surroundings, tmp_path):
    """The folder of a comparison whose trials have ended, one of them without a result."""
    folder = RunFolder.create(tmp_path / "whole", PROTOCOL)
    write_json(folder.environment_file, surroundings)
    for i, trial in enumerate(trials_of(PROTOCOL)):
        own = trial.folder(folder)
        own.evaluation.mkdir(parents=True)
        if i == 1:
            write_json(own.failure_file, {"error": "The loss is not finite."})
            continue
        evaluations[i % 2].write(own.evaluation)
        (own.evaluation / "patients_mask.png").write_bytes(b"\x89PNG" + trial.name.encode())
    folder.finish(latest=False)
    return folder


def test_what_trials_left_is_read_as_it_was_measured(whole, evaluations):
    study = read_study(PROTOCOL, whole, part="test", where="evaluation")
    assert study.failures == {"repeat_0/joint": "The loss is not finite."}
    assert study.metrics["repeat_0", "joint"] is None
    expected = study_of(PROTOCOL, evaluations, [("repeat_0", "joint")])
    pd.testing.assert_frame_equal(study.protocol, expected.protocol)
    assert study.behaviour["repeat_0", "baseline"] == evaluations[0].behaviour


def test_a_report_is_rendered_again_from_the_files_alone(whole):
    (written,) = report_again(whole)
    assert written == whole.evaluation / "report.html"
    names = ["trials.csv", "protocol.csv", "protocol.md", "evaluation/report.html", "evaluation/report.md"]
    before = {name: (whole.path / name).read_bytes() for name in names}
    assert b"1 of them failed" in before["evaluation/report.md"]
    report_again(whole)
    assert before == {name: (whole.path / name).read_bytes() for name in names}


def test_pages_of_patients_come_from_the_trainings_and_are_linked_in_markdown(whole):
    report_again(whole)
    markdown = (whole.evaluation / "report.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(<([^>]+\.png)>\)", markdown)
    # The first split of joint failed.
    assert linked == [
        f"../repeat_{i}/{arm}/evaluation/patients_mask.png" for i, arm in ((0, "baseline"), (1, "joint"))
    ]
    assert all((whole.evaluation / name).is_file() for name in linked)


def test_differences_that_are_shown_stand_in_short_and_others_in_one_sentence():
    figures = {"auc": 0.7, "balanced_accuracy": 0.6, "mask.S_joint": 0.3, "mask.F_joint": 0.3}
    rows = []
    for repeat, noise in enumerate((-0.01, 0.0, 0.01)):
        for arm, more in (("baseline", 0.0), ("joint", 0.5)):
            row = {"repeat": f"repeat_{repeat}", "arm": arm, "n_train": 100, "n_test": 30} | figures
            row["mask.S_joint"] += more + noise * more
            row["auc"] += noise * more
            rows.append(row)
    table = protocol_table(pd.DataFrame(rows), confidence=0.95)
    study = Study(PROTOCOL, "test", {}, {})
    vars(study).update(trials=pd.DataFrame(rows), protocol=table)
    section = overview_section(study)
    (bullets,) = [block.items for block in section.blocks if block.kind == "bullets"]
    assert bullets[1].startswith("joint raises S_joint (mask) by 0.500 [")
    assert "No difference from baseline is shown of joint: AUC, balanced accuracy, joint F (mask)." in bullets
    same = table.assign(difference_low=-1.0, difference_high=1.0)
    vars(study).update(protocol=same)
    section = overview_section(study)
    (bullets,) = [block.items for block in section.blocks if block.kind == "bullets"]
    assert "is shown for any arm in AUC, balanced accuracy, joint S (mask), joint F (mask)." in bullets[1]
