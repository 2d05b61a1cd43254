"""The report on a comparison: every arm, what failed, what was chosen, pages of patients."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from fgf_keras.config import parse_config
from fgf_keras.data.phantom import phantom_cohort
from fgf_keras.evaluation.comparison_report import comparison_report, write_comparison_report
from fgf_keras.evaluation.comparison_sections import arms_told, overview_section
from fgf_keras.evaluation.evaluate import evaluate
from fgf_keras.evaluation.figures import rounded
from fgf_keras.evaluation.protocol_table import protocol_table, trial_table
from fgf_keras.evaluation.report import RunFacts
from fgf_keras.evaluation.report_markdown import as_markdown
from fgf_keras.evaluation.report_render import as_html
from fgf_keras.run_folder import RunFolder, write_json
from fgf_keras.training.build import build_model
from fgf_keras.training.environment import environment
from fgf_keras.trial import trials_of

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


def trials(config, evaluations, failed=()):
    """Metrics and tables of patients by (split, arm); networks take turns, those that failed have none."""
    names = [(trial.split, trial.arm.name) for trial in trials_of(config)]
    used = {name: evaluations[i % 2] for i, name in enumerate(names) if name not in failed}
    found = {name: used[name].metrics if name in used else None for name in names}
    return found, {name: evaluation.patients for name, evaluation in used.items()}


def report(config, evaluations, surroundings, failed=(), **changed):
    found, patients = trials(config, evaluations, failed)
    failures = {"/".join(name): "The loss is not finite." for name in failed}
    facts = RunFacts(config, surroundings, "python train.py")
    given = {"split": "test", "failures": failures, "pages": {}, "ablation": None} | changed
    return comparison_report(facts, found, patients, surroundings["data"], **given)


@pytest.fixture(scope="module")
def protocol(evaluations, surroundings):
    return report(PROTOCOL, evaluations, surroundings, failed=[("repeat_1", "joint")])


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
    found, _ = trials(PROTOCOL, evaluations, [("repeat_1", "joint")])
    table = protocol_table(trial_table(found, "test"), confidence=0.95)
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
    shown = report(SWEEP, evaluations, surroundings, failed)
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
    shown = report(SWEEP, other, surroundings | {"data": data}, split="external")
    assert "trade-off" not in [section.name for section in shown.sections]


def test_many_arms_are_told_by_the_first_and_those_chosen():
    assert arms_told(PROTOCOL, {}) == ["baseline", "joint"]
    assert arms_told(SWEEP, {"sum": "sum_1", "joint": None}) == ["baseline", "sum_1"]
    assert arms_told(SWEEP, {}) == ["baseline", "sum_0.01", "sum_1", "joint_0.01"]


def test_two_arms_on_one_split_are_side_by_side_without_a_test(evaluations, surroundings):
    config = parse_config(BASE | {"protocol": {"arms": ["baseline", "joint"]}})
    markdown = as_markdown(report(config, evaluations, surroundings))
    assert "One split and one seed" in markdown
    assert "corrected resampled" not in markdown


def test_findings_stand_in_short_and_the_picture_of_known_laws_is_linked(evaluations, surroundings):
    finding = {"name": "a", "title": "One feature takes all", "found": True, "why": "0.9", "try": ""}
    given = {"findings": {"findings": [finding]}, "truth": (b"\x89PNG", "../truth.png")}
    shown = report(PROTOCOL, evaluations, surroundings, **given)
    markdown = as_markdown(shown)
    assert markdown.index("> **One feature takes all**") < markdown.index("## What was asked")
    assert "](<../truth.png>)" in markdown


def test_arms_of_known_laws_are_told_by_their_laws_and_not_subtracted(evaluations, surroundings):
    laws = {"nothing": {}, "extent_only": {"extent": 4.0}}
    config = parse_config(BASE | {"protocol": {"repeats": 2}, "truth": {"laws": laws, "prevalences": [0.4]}})
    markdown = as_markdown(report(config, evaluations, surroundings))
    assert "| extent_only_0.4 | extent 4 | 0.4 |" in markdown
    assert "| nothing_0.4 | by lot | 0.4 |" in markdown
    assert "Paired difference" not in markdown


def test_shares_of_an_ablation_are_shown(evaluations, surroundings):
    row = {"support": "mask", "feature": "brightness"}
    for name in ("unique", "shapley", *(f"without_reward_{n}" for n in ("S_feature", "S_joint", "auc"))):
        row |= {name: 0.25, f"{name}_low": None, f"{name}_high": None}
    content = {"arm": "joint", "split": "test", "features": [row]}
    shown = report(PROTOCOL, evaluations, surroundings, ablation=content)
    assert "| brightness (mask) | 0.250 |" in as_markdown(shown)


def test_pages_of_patients_come_from_the_trainings_and_are_linked_in_markdown(
    evaluations, surroundings, tmp_path
):
    folder = RunFolder(tmp_path)
    found, patients = trials(PROTOCOL, evaluations, [("repeat_0", "joint")])
    for trial in trials_of(PROTOCOL):
        own = trial.folder(folder)
        (own.evaluation).mkdir(parents=True)
        if found[trial.split, trial.arm.name] is None:
            write_json(own.failure_file, {"error": "The loss is not finite."})
            continue
        patients[trial.split, trial.arm.name].to_csv(own.evaluation / "patients.csv")
        (own.evaluation / "patients_mask.png").write_bytes(b"\x89PNG" + trial.name.encode())
    facts = RunFacts(PROTOCOL, surroundings, "python train.py")
    given = {"split": "test", "where": "evaluation", "tables": tmp_path}
    write_comparison_report(facts, found, folder, surroundings["data"], **given)
    markdown = (folder.evaluation / "report.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(<([^>]+\.png)>\)", markdown)
    # The first split of joint failed.
    assert linked == [
        f"../repeat_{i}/{arm}/evaluation/patients_mask.png" for i, arm in ((0, "baseline"), (1, "joint"))
    ]
    assert all((folder.evaluation / name).is_file() for name in linked)


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
    section = overview_section(PROTOCOL, pd.DataFrame(rows), table, {}, {}, "test")
    (bullets,) = [block.items for block in section.blocks if block.kind == "bullets"]
    assert bullets[1].startswith("joint raises S_joint (mask) by 0.500 [")
    assert "No difference from baseline is shown of joint: AUC, balanced accuracy, joint F (mask)." in bullets
    same = table.assign(difference_low=-1.0, difference_high=1.0)
    section = overview_section(PROTOCOL, pd.DataFrame(rows), same, {}, {}, "test")
    (bullets,) = [block.items for block in section.blocks if block.kind == "bullets"]
    assert "is shown for any arm in AUC, balanced accuracy, joint S (mask), joint F (mask)." in bullets[1]
