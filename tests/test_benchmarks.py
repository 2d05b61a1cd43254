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
        "data: {size: 32, phantom: {patients: 200, prevalence: 0.4, brightness: 4, extent: 0}}\n"
        "protocol: {repeats: 3}\n",
        encoding="utf-8",
    )
    settings = ["--config", "tiny.yaml", "--splits", 5]
    done = command("benchmarks/three_numbers.py", *settings, cwd=tmp_path)
    assert done.code == 0, done.err
    found = json.loads(done.out.splitlines()[-1])["three_numbers"]
    assert set(found) == {"3", "5"}
    assert all(figures["auc"]["mean"] > 0.85 for figures in found.values())
    assert all(0.7 < figures["balanced_accuracy"]["mean"] < 1 for figures in found.values())
    # Other splits, other figures; labels of texture cannot be told by brightness and shape.
    other = ["data.phantom.brightness=0", "data.phantom.texture=4"]
    texture = command("benchmarks/three_numbers.py", *settings, *other, cwd=tmp_path)
    found = json.loads(texture.out.splitlines()[-1])["three_numbers"]
    assert found["5"]["auc"]["mean"] < 0.75
