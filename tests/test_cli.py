"""One command leaves a whole run, another measures it again, here and on a cohort it never saw."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from commands import TINY, command, commands
from PIL import Image

from fgf_keras.config import load_config
from fgf_keras.data.source import source_of

ARMS = (
    "protocol.arms=[{name: plain, reward: {kind: none}}, {name: rewarded, reward: {kind: sum, weight: 0.1}}]"
)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An empty folder with tiny.yaml in it."""
    place = tmp_path_factory.mktemp("cli")
    (place / "tiny.yaml").write_text(TINY, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def run(place):
    """The folder of a finished run; `run.dir` is left to its default below the working directory."""
    done = command("train.py", "--config", "tiny.yaml", "run.name=tiny", cwd=place)
    assert done.code == 0, done.err
    latest = place / "runs" / "tiny" / "latest"
    assert f"Run folder: {latest.resolve().relative_to(place)}" in done.out
    assert "|change| for 1 sd" in done.out
    assert "because there is no baseline to compare with" in done.out
    return latest.resolve()


@pytest.fixture(scope="module")
def arms(place):
    """The folder of a finished comparison of two arms."""
    # They take long, and the runs of this file that are not compared have them.
    without = [f"evaluate.{name}=false" for name in ("controls", "collapse")]
    overrides = [ARMS, "evaluate.support=[mask]", "run.dir=compared", *without]
    done = command("train.py", "--config", "tiny.yaml", *overrides, cwd=place)
    assert done.code == 0, done.err
    return (place / "compared" / "latest").resolve()


def write_slices(place):
    """Another cohort, as masked slices whose HU window is in no file, and slices.yaml for it."""
    config = load_config(place / "tiny.yaml", ["seed=3", "data.phantom.patients=20"])
    cohort = source_of(config).cohort()
    (place / "slices").mkdir()
    for name, image, mask in zip(cohort.patient_id, cohort.images, cohort.masks):
        # Nothing inside the tumour is as dark as the background.
        pixels = np.where(mask, np.clip(np.round(255 * image), 1, 255), 0)[..., 0]
        Image.fromarray(pixels.astype(np.uint8)).save(place / "slices" / f"{name}.png")
    rows = [f"{name};{label}" for name, label in zip(cohort.patient_id, cohort.labels)]
    (place / "labels.csv").write_text("\n".join(["id;Distant", *rows]), encoding="utf-8")
    (place / "slices.yaml").write_text(
        "data: {source: png, root: ., labels_file: labels.csv, image_folder: slices, size: 32}\n",
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def evaluations(place, run, arms):
    """What evaluate.py does with the run, and what it refuses."""
    shutil.copytree(run, place / "moved", ignore=shutil.ignore_patterns("evaluation"))
    shutil.copytree(run, place / "changed")
    config = (run / "config.yaml").read_text(encoding="utf-8")
    (place / "changed" / "config.yaml").write_text(
        config.replace("seed: 0\n", "seed: 5\n", 1), encoding="utf-8"
    )
    shutil.copytree(run, place / "partial", ignore=shutil.ignore_patterns("model.keras"))
    (place / "stopped").mkdir()
    (place / "stopped" / "config.yaml").write_text(config, encoding="utf-8")
    (place / "stopped" / "UNFINISHED").write_text("", encoding="utf-8")
    external = ["evaluate.py", "--run", run, "--config", "tiny.yaml", "seed=1"]
    write_slices(place)
    return commands(
        {
            "again": ["evaluate.py", "--run", "moved", "--sanity", "--permutations", "2"],
            "permutations alone": ["evaluate.py", "--run", "moved", "--permutations", "2"],
            "sanity elsewhere": [*external, "--sanity", "data.phantom.prevalence=0.3"],
            "sanity of arms": ["evaluate.py", "--run", arms, "--sanity"],
            "external": [*external, "data.phantom.prevalence=0.3"],
            "slices": ["evaluate.py", "--run", run, "--config", "slices.yaml"],
            "own cohort": [*external, "seed=0"],
            "window": [*external, "data.window=[-100,300]"],
            "size": [*external, "data.size=40"],
            "spacing": [*external, "data.spacing=[2.0,1.0]"],
            "overrides": ["evaluate.py", "--run", run, "seed=1"],
            "unfinished": ["evaluate.py", "--run", "stopped"],
            "no run": ["evaluate.py", "--run", place],
            "absent": ["evaluate.py", "--run", "nowhere"],
            "changed data": ["evaluate.py", "--run", "changed"],
            "no model": ["evaluate.py", "--run", "partial"],
        },
        cwd=place,
    )


def test_a_run_leaves_its_whole_folder(run):
    files = {
        "config.yaml",
        "environment.json",
        "splits.csv",
        "model.keras",
        "metrics.json",
        "saved_model/1/saved_model.pb",
        "evaluation/metrics.json",
        "evaluation/patients.csv",
        "evaluation/behaviour.json",
        "evaluation/collapse.json",
        "evaluation/controls.json",
        "evaluation/findings.json",
        "evaluation/patients_mask.png",
        "evaluation/patients_image.png",
        "evaluation/report.html",
        "evaluation/report.md",
    }
    assert {name for name in files if not (run / name).is_file()} == set()
    assert list((run / "logs").rglob("events.out.tfevents.*"))
    assert list((run / "checkpoints").iterdir())
    assert not list(run.rglob("UNFINISHED"))
    assert not list(run.rglob("*.unfinished"))
    assert read(run / "evaluation" / "metrics.json") == read(run / "metrics.json")
    assert "python train.py --config tiny.yaml run.name=tiny" in (run / "evaluation/report.md").read_text(
        encoding="utf-8"
    )


def test_a_report_is_written_again_without_tensorflow(place, run):
    shutil.copytree(
        run, place / "rendered", ignore=shutil.ignore_patterns("report*", "model.keras", "saved_model")
    )
    # With it, Python lists each module that it imports.
    listed = {"PYTHONPROFILEIMPORTTIME": "1", "COLUMNS": "80"}
    done = command("fgf_keras/__main__.py", "report", "--run", "rendered", cwd=place, **listed)
    assert done.code == 0, done.err
    assert not re.search(r"\| +(tensorflow|keras)\b", done.err)
    shown = done.out.partition("Written: ")[0]
    assert max(map(len, shown.splitlines())) <= 80
    assert "|change| for 1 sd" in done.out
    for name in ("report_figures/roc.svg", "report_figures/alignment_mask.svg"):
        pair = [folder / "evaluation" / name for folder in (run, place / "rendered")]
        assert pair[0].read_bytes() == pair[1].read_bytes(), name
    refused = command("fgf_keras/__main__.py", "report", "--run", "nowhere", cwd=place)
    assert (refused.code, "does not exist" in refused.err) == (1, True)


def test_the_test_part_is_moved_along_each_feature(run):
    found = read(run / "evaluation" / "behaviour.json")
    assert (found["split"], found["n"]) == ("test", read(run / "metrics.json")["splits"]["test"]["n"])
    assert set(found["features"]) == {"brightness", "extent"}
    for entry in found["features"].values():
        assert [move["amount"] for move in entry["moves"]] == [-1, -0.5, 0.5, 1]
        assert entry["effect"]["ci"][0] <= entry["effect"]["mean"] <= entry["effect"]["ci"][1]
    assert set(found["agreement"]) == {"mask", "image"}


def test_latest_is_the_last_run_and_a_relative_link(run):
    link = run.parent / "latest"
    assert link.is_symlink()
    assert str(link.readlink()) == run.name


def test_the_environment_says_what_repeats_the_run(run):
    found = read(run / "environment.json")
    assert {"tensorflow", "keras", "numpy"} <= set(found["packages"])
    assert found["seed"] == 0
    assert found["data"]["patients"] == 60
    assert len(found["data"]["fingerprint"]) == 64


def test_metrics_hold_every_figure_of_every_split_with_its_interval(run):
    metrics = read(run / "metrics.json")
    splits = pd.read_csv(run / "splits.csv")
    assert set(metrics["splits"]) == {"train", "validation", "test"}
    assert metrics["threshold"]["chosen_on"] == "validation"
    for name, split in metrics["splits"].items():
        of_split = splits[splits.split == name]
        assert (split["n"], split["n_positive"]) == (len(of_split), of_split.label.sum())
        for key in ("balanced_accuracy", "auc", "sensitivity", "specificity"):
            low, high = split[key]["ci"]
            assert 0 <= low <= split[key]["value"] <= high <= 1
        assert set(split["alignment"]) == {"mask", "image"}
        for table in split["alignment"].values():
            assert set(table["undefined"]) == {"S", "F"}
            assert sum(table["status"].values()) == table["n"] == split["n"]
            assert set(table["white"]) == {"brightness", "extent", "joint"}
            for kind in ("S", "F"):
                assert set(table[kind]) == {"brightness", "extent", "joint", "noise"}
                joint = table[kind]["joint"]
                assert set(joint) == {"squared", "magnitude"}
                summaries = [table[kind]["brightness"], table[kind]["noise"], *joint.values()]
                assert all(set(summary) == {"mean", "ci", "median"} for summary in summaries)
                assert joint["squared"]["mean"] <= joint["magnitude"]["mean"]
    # The whole canvas has more pixels for the classifier to react to than the tumour.
    test = metrics["splits"]["test"]["alignment"]
    assert test["image"]["white"]["joint"]["expected"] < test["mask"]["white"]["joint"]["expected"]


def test_the_table_of_patients_holds_everyone_and_agrees_with_the_metrics(run):
    metrics = read(run / "metrics.json")
    patients = pd.read_csv(run / "evaluation" / "patients.csv", index_col="patient_id")
    splits = pd.read_csv(run / "splits.csv", index_col="patient_id")
    assert patients[["split", "label"]].equals(splits[["split", "label"]].loc[patients.index])
    threshold = metrics["threshold"]["logit"]
    assert ((patients.logit > threshold) == patients.decision).all()
    assert np.allclose(patients.probability, 1 / (1 + np.exp(-patients.logit)))
    test = patients[patients.split == "test"]
    sensitivity = test.decision[test.label == 1].mean()
    assert metrics["splits"]["test"]["sensitivity"]["value"] == pytest.approx(sensitivity)
    table = metrics["splits"]["test"]["alignment"]["mask"]
    assert table["S"]["extent"]["mean"] == pytest.approx(test["mask.S_extent"].mean(), rel=1e-5)


def test_evaluating_a_run_again_gives_the_same_numbers(place, run, evaluations):
    assert evaluations["again"].code == 0, evaluations["again"].err
    for name in ("metrics.json", "behaviour.json", "findings.json"):
        assert read(place / "moved" / "evaluation" / name) == read(run / "evaluation" / name)


def test_sanity_holds_the_run_against_networks_that_know_nothing(place, run, evaluations):
    found = read(place / "moved" / "evaluation" / "sanity.json")
    names = [step["name"] for step in found["steps"]]
    assert names[0] == "trained"
    assert names[-1] == "permuted labels"
    # Two convolutions, a hidden dense layer and the logits.
    assert names[1] == "random: logits"
    assert len(names) == 1 + 4 + 1
    assert len({step["S"]["joint"]["mean"] for step in found["steps"]}) == len(names)
    table = read(run / "metrics.json")["splits"]["test"]["alignment"]["mask"]
    trained = found["steps"][0]
    for kind in "SF":
        mean, null = trained[kind]["extent"]["mean"], trained["null"][kind]["extent"]
        assert mean == pytest.approx(table[kind]["extent"]["mean"], rel=1e-3)
        assert null["q95"] == pytest.approx(table["nulls"]["smooth"][kind]["extent"]["null_q95"], rel=1e-3)
    assert trained["auc"] == read(run / "metrics.json")["splits"]["test"]["auc"]["value"]
    assert "AUC is " in evaluations["again"].out
    assert any("cannot be below 0.33" in sentence for sentence in found["verdicts"])
    # Nothing of the other trainings is left.
    assert {path.name for path in (place / "moved").iterdir()} <= {path.name for path in run.iterdir()}


def test_arms_are_trained_on_the_same_splits_and_compared(run, arms):
    of_arms = [(arms / name / "splits.csv").read_text(encoding="utf-8") for name in ("plain", "rewarded")]
    assert (
        of_arms[0]
        == of_arms[1]
        == (arms / "splits.csv").read_text(encoding="utf-8")
        == (run / "splits.csv").read_text(encoding="utf-8")
    )
    compared = read(arms / "comparison.json")
    assert list(compared) == ["plain", "rewarded"]
    for name, metrics in compared.items():
        assert metrics == read(arms / name / "metrics.json")
        assert f"kind: {'none' if name == 'plain' else 'sum'}" in (arms / name / "config.yaml").read_text(
            encoding="utf-8"
        )
    assert compared["plain"] != compared["rewarded"]
    assert "plain | rewarded" in (arms / "comparison.md").read_text(encoding="utf-8")
    assert not list(arms.rglob("UNFINISHED"))
    # One report for all; evaluate.py writes that of an arm.
    assert list(arms.rglob("report.html")) == [arms / "evaluation" / "report.html"]
    assert "../rewarded/evaluation/patients_mask.png" in (arms / "evaluation" / "report.md").read_text(
        encoding="utf-8"
    )


def test_arms_are_searched_for_failures_together_and_each_alone(arms):
    found = {finding["title"]: finding for finding in read(arms / "evaluation" / "findings.json")["findings"]}
    lost = found["accuracy lost to a reward too large (rewarded)"]
    assert lost["found"] is False
    assert "minus plain" in lost["why"]
    alone = read(arms / "rewarded" / "evaluation" / "findings.json")["findings"]
    assert {finding["name"]: finding["found"] for finding in alone}["reward_without_gain"] is None


def test_the_same_seed_gives_the_same_numbers_in_another_process(run, arms):
    once, again = read(run / "metrics.json"), read(arms / "rewarded" / "metrics.json")
    for split in once["splits"].values():
        for content in ("alignment", "effects"):
            del split[content]["image"]
    assert once == again


def test_external_validation_keeps_the_threshold_of_the_run(run, evaluations):
    assert evaluations["external"].code == 0, evaluations["external"].err
    metrics = read(run / "evaluation-tiny" / "metrics.json")
    for key in ("threshold", "reference"):
        assert metrics[key] == read(run / "metrics.json")[key]
    assert list(metrics["splits"]) == ["external"]
    assert read(run / "evaluation-tiny" / "behaviour.json")["split"] == "external"
    assert metrics["splits"]["external"]["n"] == 60
    report = (run / "evaluation-tiny" / "report.md").read_text(encoding="utf-8")
    assert "another cohort than the one the network was trained on" in report
    assert "evaluate.py --run" in report
    patients = pd.read_csv(run / "evaluation-tiny" / "patients.csv")
    assert (patients.split == "external").all()
    assert ((patients.logit > metrics["threshold"]["logit"]) == patients.decision).all()


def test_effects_in_another_cohort_are_in_the_units_of_the_run(run, evaluations):
    assert evaluations["slices"].code == 0, evaluations["slices"].err
    reference = read(run / "metrics.json")["reference"]
    assert reference["units"] == {"brightness": "HU", "extent": "mm"}
    assert read(run / "evaluation-slices" / "metrics.json")["reference"] == reference
    patients = pd.read_csv(run / "evaluation-slices" / "patients.csv")
    for name, sd in reference["sd"].items():
        effect = patients[f"mask.slope_{name}"] * sd
        assert np.allclose(patients[f"mask.effect_{name}"], effect, rtol=1e-4)
    assert patients["mask.value_brightness"].between(-50, 300).all()
    assert patients["mask.value_brightness"].std() > 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own cohort", ["DataError", "trained on", "--config"]),
        ("window", ["DataError", "data.window", "[-50.0, 300.0]", "[-100.0, 300.0]"]),
        ("size", ["DataError", "data.size", "32", "40"]),
        ("spacing", ["DataError", "data.spacing", "[2.0, 1.0]"]),
        ("overrides", ["ConfigError", "seed=1", "--config"]),
        ("unfinished", ["RunError", "stopped", "not finished"]),
        ("no run", ["RunError", "not a run folder"]),
        ("absent", ["RunError", "nowhere", "does not exist"]),
        ("changed data", ["RunError", "fingerprint"]),
        ("no model", ["RunError", "model.keras"]),
        ("sanity elsewhere", ["ConfigError", "--sanity", "without --config"]),
        ("sanity of arms", ["RunError", "comparison", "/plain"]),
        ("permutations alone", ["ConfigError", "--permutations", "--sanity"]),
    ],
)
def test_what_would_mean_nothing_is_refused(evaluations, name, words):
    code, _, message = evaluations[name]
    assert code == 1
    assert "Traceback" not in message
    for word in words:
        assert word in message
