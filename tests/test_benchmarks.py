"""The benchmarks can be run, and count rightly; how fast anything is, is not tested."""

import importlib
import json
from pathlib import Path

import pytest
from commands import command

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmark_named(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


# Peers need libraries of their own.
@pytest.mark.parametrize("name", sorted(p.stem for p in BENCHMARKS.glob("*.py") if "peer" not in p.stem))
def test_finds_what_it_imports(benchmark_named, name):
    benchmark_named(name)


@pytest.mark.slow
def test_steps_have_time_and_memory_beside_the_reference(tmp_path):
    small = ("--size", 64, "--batch", 2, "--tumour", 16, "--repeats", 1)
    names = ("keras_plain_step", "roi_reward_step")
    done = command("benchmarks/training_step.py", *small, "--variants", *names, cwd=tmp_path)
    assert done.code == 0, done.err
    rows = json.loads(done.out.splitlines()[-1])
    assert tuple(rows) == names
    assert rows["keras_plain_step"]["ratio"] == 1
    for row in rows.values():
        assert row["median_s"] > 0
        # Between them lies TensorFlow itself, hundreds of MB.
        assert 0 < row["added_mb"] < row["peak_mb"] - 100


def test_peak_memory_remembers_what_is_gone(benchmark_named):
    measuring = benchmark_named("measuring")
    before = measuring.memory_mb()
    held = b"1" * 1_000_000_000
    assert measuring.memory_mb() > before + 900
    del held
    assert measuring.memory_mb() < before + 100
    assert measuring.peak_memory_mb() > before + 900


def test_exponents_are_of_the_upper_half(benchmark_named):
    scaling = benchmark_named("scaling")
    values = [1, 2, 4, 8, 16]
    assert scaling.exponent(values, [50, 50, 16, 64, 256]) == pytest.approx(2)
    assert scaling.exponent([10, 100], [1, 1000]) == pytest.approx(3)


def test_a_page_keeps_what_is_around_a_section(benchmark_named, tmp_path):
    measuring = benchmark_named("measuring")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- steps -->\nold\n<!-- end of steps -->\nafter\n", encoding="utf-8")
    for _ in range(2):
        measuring.write_section(page, "steps", "new")
        assert (
            page.read_text(encoding="utf-8")
            == "before\n<!-- steps -->\n\nnew\n\n<!-- end of steps -->\nafter\n"
        )
    with pytest.raises(SystemExit, match="no lines"):
        measuring.write_section(page, "flow", "new")


def test_a_regression_on_features_finds_what_labels_are_made_of(tmp_path):
    (tmp_path / "tiny.yaml").write_text(
        "data: {size: 32, phantom: {patients: 200, prevalence: 0.4, brightness: 4, extent: 0},\n"
        "  clinical: [{name: stage, order: [T1, T2, T3, T4]}]}\n"
        "protocol: {repeats: 3}\n",
        encoding="utf-8",
    )
    settings = ["--config", "tiny.yaml", "--splits", 5]
    done = command("benchmarks/three_numbers.py", *settings, cwd=tmp_path)
    assert done.code == 0, done.err
    found = json.loads(done.out.splitlines()[-1])["bars"]
    assert set(found) == {"3", "5"}
    assert all(
        set(figures) == {"area", "features", "clinical", "features_and_clinical"}
        for figures in found.values()
    )
    # The area says nothing about a label of brightness.
    assert all(figures["area"]["AUC"]["mean"] < 0.7 for figures in found.values())
    figures = [each["features"] for each in found.values()]
    assert all(each["AUC"]["mean"] > 0.85 for each in figures)
    assert all(0.7 < each["balanced accuracy"]["mean"] < 1 for each in figures)
    # Other splits, other figures; labels of texture cannot be told by brightness and shape.
    other = ["data.phantom.brightness=0", "data.phantom.texture=4"]
    texture = command("benchmarks/three_numbers.py", *settings, *other, cwd=tmp_path)
    found = json.loads(texture.out.splitlines()[-1])["bars"]
    assert found["5"]["features"]["AUC"]["mean"] < 0.75


@pytest.mark.slow
def test_choices_are_measured_on_the_same_trainings_and_kept(tmp_path):
    (tmp_path / "tiny.yaml").write_text(
        "data: {size: 24, phantom: {patients: 60, prevalence: 0.4}}\n"
        "model: {filters: [2], kernel_sizes: [3], pool_size: 4, dense: [2]}\n"
        "train: {epochs: 16}\nfeatures: [brightness]\n",
        encoding="utf-8",
    )
    settings = ["--config", "tiny.yaml", "--splits", 2, "--out", "out"]
    done = command("benchmarks/choices.py", *settings, cwd=tmp_path)
    assert done.code == 0, done.err
    means = json.loads(done.out.splitlines()[-1])["choices"]
    files = sorted((tmp_path / "out").iterdir())
    kept = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    assert len(kept) == 2
    for name, metrics in means.items():
        for metric, mean in metrics.items():
            assert mean == pytest.approx(sum(each[name][metric] for each in kept) / 2)
    assert {"best", "last", "smoothed 5", "ema 0.99", "swa 10, best"} <= set(means)
    # What is chosen on validation is at least as good there as the last.
    for name in ("swa 5", "ema 0.99"):
        assert all(each[f"{name}, best"]["validation_auc"] >= each[name]["validation_auc"] for each in kept)
    stamps = [file.stat().st_mtime_ns for file in files]
    again = command("benchmarks/choices.py", *settings, cwd=tmp_path)
    assert again.out.splitlines()[-1] == done.out.splitlines()[-1]
    assert [file.stat().st_mtime_ns for file in files] == stamps
    assert "split" not in again.out.splitlines()[0]
