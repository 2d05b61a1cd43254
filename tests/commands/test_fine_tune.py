"""Trainings that begin with, or are compared with, another training: an arm of the comparison, or a run."""

import json
import shutil

import keras
import numpy as np
import pytest
from commands import command, commands

from fgf_keras import AlignmentModel

SMALL = """
data:
  size: 24
  splits: {test: 0.3, validation: 0.25}
  phantom: {patients: 40, prevalence: 0.5}
model: {filters: [2], kernel_sizes: [3], pool_size: 4, dense: [2]}
features: [brightness, extent]
train: {epochs: 2, measure: false}
evaluate:
  {bootstrap: 100, noise_draws: 0, pictures: 0, collapse: false, controls: false, behaviour: false,
  support: [mask], flow: {max_steps: 8}, null_draws: 40}
compute: {threads: 1}
"""
# One epoch at a rate that changes nothing: the weights are those that the training began with.
COMPARED = """
protocol:
  repeats: 2
  arms:
    - name: tuned
      reward: {kind: signed, fine_tune: baseline, guard: {baseline: baseline, tolerance: 0.0}}
    - baseline
    - signed
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("fine_tune")
    (place / "small.yaml").write_text(SMALL, encoding="utf-8")
    (place / "compared.yaml").write_text(SMALL + COMPARED, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def comparison(place):
    rate = "train.learning_rate=1e-12"
    done = command("train.py", "--config", "compared.yaml", "run.dir=two", "compute.jobs=2", rate, cwd=place)
    assert done.code == 0, done.err
    return place / "two" / "latest"


def weights_of(folder):
    model = keras.models.load_model(folder / "model.keras")
    assert isinstance(model, AlignmentModel)
    return model.classifier.get_weights()


def test_an_arm_begins_with_the_network_of_another_arm_on_the_same_split(comparison):
    for split in ("repeat_0", "repeat_1"):
        baseline, tuned = (weights_of(comparison / split / arm) for arm in ("baseline", "tuned"))
        for a, b in zip(baseline, tuned, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)
        content = json.loads((comparison / split / "tuned" / "training.json").read_text(encoding="utf-8"))
        assert content["reward"]["fine_tuned_from"].endswith(f"{split}/baseline")
        assert set(content["reward"]["direction"]) == {"brightness", "extent"}
        header, *rows = (
            (comparison / split / "tuned" / "history.csv").read_text(encoding="utf-8").splitlines()
        )
        assert "val_auc" in header
        assert [row.split(",")[0] for row in rows] == ["1", "2"]
    first, second = (weights_of(comparison / split / "baseline")[0] for split in ("repeat_0", "repeat_1"))
    assert np.abs(first - second).max() > 1e-3, "each split has its own baseline"
    report = (comparison / "evaluation" / "report.md").read_text(encoding="utf-8")
    assert "signed, λ = 0.1; fine-tuned from baseline" in report


def test_runs_that_cannot_be_begun_with_are_refused_before_anything_is_trained(place, comparison):
    baseline = comparison / "repeat_0" / "baseline"
    failed = place / "failed"
    shutil.copytree(baseline, failed)
    (failed / "failure.json").write_text('{"error": "diverged"}', encoding="utf-8")
    unfinished = place / "unfinished"
    shutil.copytree(baseline, unfinished)
    (unfinished / "UNFINISHED").write_text("", encoding="utf-8")
    old = place / "old"
    shutil.copytree(baseline, old)
    (old / "history.csv").unlink()
    tune, compare = "reward.fine_tune=", "reward.guard.baseline="
    refused = {
        "other split": ([f"{tune}{baseline}"], "patients of the test part were used in training"),
        "another network": ([f"{tune}{baseline}", "model.dense=[3]"], "dense: [2] there, [3] here"),
        "other images": (
            [f"{tune}{baseline}", "data.window=[-100,300]"],
            "window: [-50.0, 300.0] there",
        ),
        "other patients": ([f"{compare}{baseline}"], "has other validation patients"),
        "missing": ([f"{tune}nowhere"], "reward.fine_tune: Run folder 'nowhere' does not exist"),
        "mistyped": (
            ["protocol.arms=[baseline,{name: t, reward: {kind: signed, fine_tune: basline}}]"],
            "'basline' is neither an arm of this comparison (baseline, t) nor",
        ),
        "failed": ([f"{tune}{failed}"], "the training in"),
        "unfinished": ([f"{tune}{unfinished}"], "has not finished"),
        "no single run": ([f"{tune}{comparison}"], "holds no model"),
        "no history": ([f"{compare}{old}"], "has no val_auc in history.csv"),
    }
    start = ["train.py", "--config", "small.yaml", "run.dir=refused"]
    done = commands({name: [*start, *settings] for name, (settings, _) in refused.items()}, cwd=place)
    for name, (_, words) in refused.items():
        assert done[name].code != 0, name
        assert words in done[name].err, done[name].err
        assert "Traceback" not in done[name].err
    assert not (place / "refused").exists()


def test_a_run_of_its_own_start_is_not_checked_against_permuted_labels(comparison):
    trial = comparison / "repeat_0"
    done = commands(
        {
            "tuned": ["evaluate.py", "--run", trial / "tuned", "--sanity"],
            "signed": ["evaluate.py", "--run", trial / "signed", "--sanity"],
        },
        cwd=comparison,
    )
    assert done["tuned"].code != 0
    assert "cannot be repeated on permuted labels" in done["tuned"].err
    assert done["signed"].code == 0, done["signed"].err


def test_a_run_of_the_same_splits_can_be_begun_with(place):
    one = command("train.py", "--config", "small.yaml", "run.dir=one", "reward.kind=none", cwd=place)
    assert one.code == 0, one.err
    settings = [
        "reward.fine_tune=one/latest",
        "reward.guard.baseline=one/latest",
        "reward.guard.tolerance=0.0",
    ]
    two = command("train.py", "--config", "small.yaml", "run.dir=other", *settings, cwd=place)
    assert two.code == 0, two.err
    metrics = json.loads((place / "other" / "latest" / "metrics.json").read_text(encoding="utf-8"))
    # The link may lead elsewhere tomorrow.
    began = str((place / "one" / "latest").resolve())
    assert metrics["training"]["reward"]["fine_tuned_from"] == began
    assert metrics["training"]["kept_epoch"] in (1, 2)
    again = command("evaluate.py", "--run", "other/latest", cwd=place)
    assert again.code == 0, again.err
    assert (
        json.loads((place / "other" / "latest" / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
        == metrics
    )
