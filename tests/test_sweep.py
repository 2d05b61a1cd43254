"""A sweep is a comparison over weights: killed and resumed, and what it says of trials that diverge."""

import json

import pytest
from commands import command, kill_when

SWEEP = """
data:
  size: 24
  splits: {test: 0.3, validation: 0.25}
  phantom: {patients: 24, prevalence: 0.5}
model: {filters: [2], kernel_sizes: [3], pool_size: 4, dense: [2]}
features: [brightness]
train: {epochs: 1, flow_patients: 2}
evaluate:
  {bootstrap: 100, noise_draws: 0, pictures: 0, collapse: false, controls: false, support: [mask],
  flow: {max_steps: 8}}
sweep: {kinds: [sum], lowest: 0.01, highest: 1.0, points: 2, tolerance: 0.9}
compute: {threads: 1}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("sweep")
    (place / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def swept(place):
    """A sweep that was killed after its first trial, and its folder after it went on."""
    argv = ["-m", "fgf_keras", "sweep", "--config", "sweep.yaml", "run.dir=swept"]
    kill_when("swept/*/sum_0.01/config.yaml", *argv, cwd=place, log=place / "log")
    (folder,) = (place / "swept").iterdir()
    finished = folder / "baseline" / "metrics.json"
    assert finished.is_file(), (place / "log").read_text(encoding="utf-8")
    before = finished.stat().st_mtime_ns
    done = command("train.py", "--resume", folder, cwd=place)
    assert done.code == 0, done.err
    assert finished.stat().st_mtime_ns == before
    return folder, done.out


def test_a_resumed_sweep_is_whole(swept):
    folder, out = swept
    assert not list(folder.rglob("UNFINISHED"))
    assert "the largest λ that loses at most 0.9 of validation AUC" in out
    for name in ("sweep.json", "sweep.csv", "sweep.png", "protocol.json", "evaluation/report.html"):
        assert (folder / name).is_file()


def test_the_largest_weight_within_the_tolerance_is_chosen(swept):
    summary = json.loads((swept[0] / "sweep.json").read_text(encoding="utf-8"))
    loss = {row["arm"]: -row["auc_change"] for row in summary["trade_off"]}
    assert list(loss) == ["baseline", "sum_0.01", "sum_1"]
    assert summary["chosen"] == {"sum": max(arm for arm in list(loss)[1:] if loss[arm] <= 0.9)}


def test_trials_that_diverge_are_told_one_by_one(place):
    repeats = ["sweep=null", "protocol={arms: [joint], repeats: 2}", "run.dir=failed"]
    done = command("train.py", "--config", "sweep.yaml", *repeats, "train.learning_rate=1e30", cwd=place)
    assert done.code == 1
    for r in range(2):
        (line,) = [line for line in done.out.splitlines() if f"Failed: repeat_{r}/joint" in line]
        assert "not finite" in line
    assert "Every trial" in done.err
    assert not list(place.glob("failed/*/*/*/metrics.json"))
    assert len(list(place.glob("failed/*/*/*/failure.json"))) == 2


def test_each_command_starts_what_is_its_own(place):
    wrong = command("train.py", "--config", "sweep.yaml", cwd=place)
    assert (wrong.code, "fgf sweep" in wrong.err) == (1, True)
