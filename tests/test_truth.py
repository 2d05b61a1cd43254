"""Trials under known laws: killed and resumed, the same tables whatever the number of jobs, and refusals."""

import json

import pandas as pd
import pytest
from commands import commands, kill_when

from fgf_keras.run.folder import RunFolder

TRUTH = """
seed: 1
data:
  size: 24
  splits: {test: 0.3, validation: 0.25}
  phantom: {patients: 30}
model: {filters: [2], kernel_sizes: [3], pool_size: 4, dense: [2]}
features: [brightness, extent]
reward: {kind: none}
train: {epochs: 1, measure: false}
evaluate:
  training_patients: false
  collapse: false
  controls: false
  bootstrap: 100
  noise_draws: 0
  null_draws: 39
  nulls: [white, matched]
  pictures: 0
  support: [mask]
  flow: {max_steps: 8}
truth:
  laws: {nothing: {}, bright: {brightness: 4.0}}
  prevalences: [0.4]
compute: {threads: 1}
"""
TABLES = ("truth.json", "truth.csv", "truth.md")
TRIALS = ("nothing_0.4", "bright_0.4")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("truth")
    (place / "small.yaml").write_text(TRUTH, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def killed(place):
    """The folder of a run that was killed after its first trial and went on, and how commands ended."""
    kill_when(
        "killed/*/bright_0.4/config.yaml",
        *("-m", "fgf_keras", "truth", "--config", "small.yaml", "run.dir=killed"),
        cwd=place,
        log=place / "log",
    )
    (folder,) = (place / "killed").iterdir()
    finished = folder / "nothing_0.4" / "metrics.json"
    assert finished.is_file(), (place / "log").read_text(encoding="utf-8")
    before = finished.stat().st_mtime_ns
    done = commands(
        {
            "resume": ["fgf_keras/__main__.py", "truth", "--resume", folder],
            "jobs": [
                "fgf_keras/__main__.py",
                "truth",
                "--config",
                "small.yaml",
                "run.dir=jobs",
                "compute.jobs=2",
            ],
            "evaluate": ["evaluate.py", "--run", folder],
            "external": ["evaluate.py", "--run", folder, "--config", "small.yaml", "truth=null"],
            "train": ["train.py", "--config", "small.yaml"],
            "rare": ["train.py", "--config", "small.yaml", "truth=null", "data.phantom.prevalence=0.01"],
        },
        cwd=place,
    )
    assert done["resume"].code == 0, done["resume"].err
    assert finished.stat().st_mtime_ns == before
    return folder, done


def test_a_resumed_run_leaves_tables_and_a_figure(killed):
    folder, done = killed
    assert not list(folder.rglob("UNFINISHED"))
    assert "not used" in done["resume"].out
    table = pd.read_csv(folder / "truth.csv")
    assert list(dict.fromkeys(table["law"])) == ["nothing", "bright"]
    roles = table[table["law"] == "bright"].set_index("feature")["role"].to_dict()
    assert roles == {"brightness": "used", "extent": "unused", "joint": "used"}
    assert (folder / "truth.png").stat().st_size > 10_000
    summary = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    assert {row["null"] for row in summary["rates"]} == {"white", "matched"}
    assert {row["law"] for row in summary["recovery"]} == {"bright"}


def test_the_table_holds_what_the_trials_found(killed):
    table = pd.read_csv(killed[0] / "truth.csv").set_index(["law", "feature"])
    for law in ("nothing", "bright"):
        metrics = json.loads((killed[0] / f"{law}_0.4" / "metrics.json").read_text(encoding="utf-8"))[
            "splits"
        ]
        held = metrics["test"]["alignment"]["mask"]
        assert table.loc[(law, "extent"), "S"] == held["S"]["extent"]["mean"]
        assert table.loc[(law, "joint"), "F_over_matched"] == held["nulls"]["matched"]["F"]["joint"]["effect"]
        assert "train" not in metrics


def test_every_trial_is_a_whole_run_on_the_same_images(killed):
    folders = [RunFolder.open(killed[0] / trial) for trial in TRIALS]
    laws = [folder.load_config().data.phantom for folder in folders]
    assert [(law.brightness, law.extent, law.prevalence) for law in laws] == [(0, 0, 0.4), (4, 0, 0.4)]
    assert laws[0].seed == laws[1].seed == 1
    prints = [
        json.loads((f.path / "environment.json").read_text(encoding="utf-8"))["data"]["fingerprint"]
        for f in folders
    ]
    assert prints[0] != prints[1]


def test_evaluating_again_finds_the_same(killed):
    folder, done = killed
    assert done["evaluate"].code == 0, done["evaluate"].err
    for name in TABLES:
        assert (folder / "evaluation" / name).read_bytes() == (folder / name).read_bytes()


def test_tables_are_the_same_whatever_the_number_of_jobs(place, killed):
    assert killed[1]["jobs"].code == 0, killed[1]["jobs"].err
    for name in TABLES:
        assert (place / "jobs" / "latest" / name).read_bytes() == (killed[0] / name).read_bytes()


def test_what_cannot_be_done_is_refused(killed):
    done = killed[1]
    for name, words in {
        "external": ["known", "Leave out --config"],
        "train": ["fgf truth"],
        "rare": ["class"],
    }.items():
        assert done[name].code == 1
        for word in words:
            assert word in done[name].err
