"""Bad input stops a run before it starts: a message that says what and where, and no folder left behind."""

import csv

import numpy as np
import pytest
from commands import TINY, command, commands
from PIL import Image

CASES = {
    "missing config": (["no.yaml"], ["ConfigError", "'no.yaml'", "tiny.yaml"]),
    "unknown key": (["tiny.yaml", "train.epoch=3"], ["ConfigError", "train.epoch", "'epochs'"]),
    "malformed override": (["tiny.yaml", "train.epochs"], ["ConfigError", "'train.epochs'", "key.sub=value"]),
    "missing folder": (["png.yaml", "data.root=nowhere"], ["DataError", "'nowhere'", "data.root"]),
    "missing table": (["png.yaml", "data.labels_file=no.csv"], ["DataError", "no.csv", "data.labels_file"]),
    "no label column": (["png.yaml", "data.label_column=Distnt"], ["DataError", "'Distnt'", "'Distant'"]),
    "label 2": (["png.yaml", "data.label_column=stage"], ["DataError", "'stage'", "P03: '2'", "0 or 1"]),
    "image missing": (
        ["png.yaml", "data.labels_file=more.csv"],
        ["DataError", "1 ids", "P99", "allow_missing"],
    ),
    "image too large": (["png.yaml", "data.size=16"], ["DataError", "P00.png", "20x20", "data.size"]),
    "one class": (["png.yaml", "data.label_column=none"], ["DataError", "0 of class 1"]),
    "one class in a split": (["png.yaml", "data.splits.validation=1"], ["DataError", "1 validation"]),
    "feature": (
        ["tiny.yaml", "features=[{name: a, function: 'no.such:f'}]"],
        ["FeatureError", "'no.such:f'"],
    ),
    "the same tumour everywhere": (["png.yaml"], ["FeatureError", "'brightness'", "all 20 patients"]),
    "small canvas": (["tiny.yaml", "model.pool_size=8"], ["ModelError", "64 px", "pool_size"]),
}
PNG = TINY.replace("  size: 32\n", "  size: 32\n  source: png\n  root: cohort\n  image_folder: slices\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("bad")
    (place / "tiny.yaml").write_text(TINY, encoding="utf-8")
    (place / "png.yaml").write_text(PNG, encoding="utf-8")
    (place / "cohort" / "slices").mkdir(parents=True)
    pixels = np.zeros((20, 20), np.uint8)
    pixels[5:12, 6:15] = 100
    rows = [[f"P{i:02}", i % 2, 2 if i == 3 else 0, 0] for i in range(20)]
    for name, *_ in rows:
        Image.fromarray(pixels).save(place / "cohort" / "slices" / f"{name}.png")
    for file, more in (("canada.csv", []), ("more.csv", [["P99", 0, 0, 0]])):
        with (place / "cohort" / file).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, delimiter=";").writerows([["id", "Distant", "stage", "none"], *rows, *more])
    return place


@pytest.fixture(scope="module")
def refusals(place):
    by_name = {
        name: ["train.py", "--config", *arguments, f"run.dir=run of {name}"]
        for name, (arguments, _) in CASES.items()
    }
    diverging = ["train.py", "--config", "tiny.yaml", "train.learning_rate=1e30", "run.dir=diverging"]
    return commands(by_name | {"diverging": diverging}, cwd=place)


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_named_and_leaves_nothing(place, refusals, name):
    code, _, message = refusals[name]
    assert code == 1
    assert "Traceback" not in message
    for word in CASES[name][1]:
        assert word in message
    assert not (place / f"run of {name}").exists()


def test_a_run_that_fails_on_the_way_says_so_and_is_not_the_latest(place, refusals):
    code, _, message = refusals["diverging"]
    assert code == 1
    assert "RunError" in message
    assert "not finite" in message
    (folder,) = (place / "diverging").iterdir()
    assert (folder / "UNFINISHED").is_file()
    assert not (folder / "metrics.json").exists()


def test_another_backend_is_refused_before_anything_is_loaded(place):
    done = command("train.py", "--config", "tiny.yaml", cwd=place, KERAS_BACKEND="jax")
    assert done.code == 1
    assert "Traceback" not in done.err
    for word in ("BackendError", "TensorFlow backend", "'jax'", "KERAS_BACKEND=tensorflow"):
        assert word in done.err
    assert not (place / "runs").exists()
