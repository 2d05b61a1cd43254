"""A comparison over repeated splits: paired, whole, the same however it was computed, resumed when killed."""

import json

import pandas as pd
import pytest
from commands import ROOT, command, commands, kill_when

SMALL = """
data:
  size: 24
  splits: {test: 0.3, validation: 0.25}
  phantom: {patients: 24, prevalence: 0.5}
model: {filters: [2], kernel_sizes: [3], pool_size: 4, dense: [2]}
features: [brightness]
reward: {kind: sum, weight: 0.5}
train: {epochs: 1, flow_patients: 2}
evaluate:
  {bootstrap: 100, noise_draws: 0, pictures: 0, collapse: false, controls: false, support: [mask],
  flow: {max_steps: 8}}
protocol: {arms: [baseline, placebo], repeats: 2}
compute: {threads: 1}
"""
TABLES = ("protocol.json", "protocol.csv", "protocol.md", "trials.csv")
TRIALS = [f"repeat_{r}/{arm}" for r in range(2) for arm in ("baseline", "placebo")]


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("protocol")
    (place / "small.yaml").write_text(SMALL, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def whole(place):
    """A comparison that was left alone, one process for all."""
    done = command("train.py", "--config", "small.yaml", "run.dir=whole", cwd=place)
    assert done.code == 0, done.err
    assert "no difference shown" in done.out
    return (place / "whole" / "latest").resolve()


@pytest.fixture(scope="module")
def resumed(place):
    """The same with two processes, killed when one trial was finished and another was not."""
    argv = [ROOT / "train.py", "--config", "small.yaml", "run.dir=killed", "compute.jobs=2"]
    # The third begins when one of the first two is finished; its metrics.json would not yet say that.
    kill_when("killed/*/repeat_1/*/config.yaml", *argv, cwd=place, log=place / "log")
    (folder,) = (place / "killed").iterdir()
    assert (folder / "UNFINISHED").exists(), (place / "log").read_text(encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in folder.glob("repeat_*/*/metrics.json")}
    finished = [path for path in before if not (path.parent / "UNFINISHED").exists()]
    done = commands(
        {
            "evaluate": ["evaluate.py", "--run", folder],
            "resume": ["train.py", "--resume", folder],
            "again": ["train.py", "--resume", folder],
            "config": ["train.py", "--resume", folder, "--config", "small.yaml"],
        },
        cwd=place,
    )
    assert done["resume"].code == 0, done["resume"].err
    kept = [path for path in finished if path.stat().st_mtime_ns == before[path]]
    return folder, done, (len(kept), len(finished))


def test_every_trial_is_a_whole_run(place, whole):
    assert [str(path.parent.relative_to(whole)) for path in sorted(whole.glob("*/*/metrics.json"))] == TRIALS
    assert not list(whole.rglob("UNFINISHED"))
    assert [path.parent.parent for path in whole.rglob("report.html")] == [whole]
    before = read(whole / TRIALS[3] / "metrics.json")
    other = ["evaluate.py", "--run", whole, "--config", "small.yaml", "seed=9"]
    done = commands({"trial": ["evaluate.py", "--run", whole / TRIALS[3]], "other": other}, cwd=place)
    assert [end.code for end in done.values()] == [0, 0], [end.err for end in done.values()]
    assert read(whole / TRIALS[3] / "evaluation" / "metrics.json") == before
    # Evaluated by itself, a trial has a report of its own; another cohort has one for all.
    assert (whole / TRIALS[3] / "evaluation" / "report.html").is_file()
    assert "another cohort" in (whole / "evaluation-small" / "report.md").read_text(encoding="utf-8")


def test_arms_share_splits_and_seed_and_repeats_do_not(whole):
    splits = [(whole / trial / "splits.csv").read_text(encoding="utf-8") for trial in TRIALS]
    seeds = [read(whole / trial / "environment.json")["seed"] for trial in TRIALS]
    for found in (splits, seeds):
        assert found[0] == found[1] != found[2] == found[3]
    assert splits[0] == (whole / "repeat_0" / "splits.csv").read_text(encoding="utf-8")
    first, second = (read(whole / trial / "metrics.json") for trial in TRIALS[:2])
    assert first != second


def test_the_table_holds_what_the_trials_found(whole):
    trials = pd.read_csv(whole / "trials.csv").set_index(["repeat", "arm"])
    for trial in TRIALS:
        metrics = read(whole / trial / "metrics.json")["splits"]["test"]
        found = trials.loc[tuple(trial.split("/"))]
        assert found["auc"] == metrics["auc"]["value"]
        assert found["mask.S_joint"] == metrics["alignment"]["mask"]["S"]["joint"]["squared"]["mean"]


def test_a_killed_comparison_goes_on_without_repeating_what_was_finished(resumed):
    folder, done, (kept, finished) = resumed
    assert kept == finished >= 1
    assert not list(folder.rglob("UNFINISHED"))
    assert (folder.parent / "latest").resolve() == folder
    assert "not finished" in done["evaluate"].err
    assert "nothing to resume" in done["again"].err
    assert "no --config" in done["config"].err


def test_tables_are_the_same_whatever_the_number_of_jobs_and_where_it_was_stopped(whole, resumed):
    for name in TABLES:
        assert (resumed[0] / name).read_bytes() == (whole / name).read_bytes()


def test_each_trial_is_on_the_page_of_hyperparameters(whole):
    from tensorboard.plugins.hparams import plugin_data_pb2

    for trial in TRIALS:
        (file,) = (whole / trial / "logs" / "hparams").iterdir()
        content = file.read_bytes()
        for word in (b"lambda", b"rewarded_features", b"seed", b"test/auc", b"validation/mask.S_joint"):
            assert word in content
    assert plugin_data_pb2.HParamsPluginData is not None


def test_the_figures_of_the_page_about_the_paper_are_printed_by_a_program(place, whole):
    done = command("benchmarks/paper_table.py", "--run", whole, cwd=place)
    assert done.code == 0, done.err
    table = pd.read_csv(whole / "protocol.csv")
    first, second, *_ = table["arm"].unique()
    for figure, label in [("auc", "AUC"), ("mask.S_joint", "S joint (squared)")]:
        line = next(line for line in done.out.splitlines() if line.startswith(f"| {label} |"))
        rows = table[table["figure"] == figure].set_index("arm")
        assert f"| {rows['mean'][first]:.3f} ± {rows['sd'][first]:.3f} |" in line
        assert f"({rows['difference'][second]:+.3f} [" in line
    by_split = pd.read_csv(whole / "trials.csv").pivot(
        index="repeat", columns="arm", values="mask.S_joint_magnitude"
    )
    rose = int((by_split[second] >= by_split[first]).sum())
    assert f"| in the tumour (support `mask`) | {rose} of {len(by_split)} |" in done.out
    trials = pd.read_csv(whole / "trials.csv").query("arm == @first")
    told = json.loads(done.out.splitlines()[-1])["paper_table"][first]
    assert told["splits"] == len(trials)
    assert told["AUC below 0.5"] == (trials["auc"] < 0.5).sum()
