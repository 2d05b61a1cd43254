"""Runs side by side: a column a run, with the numbers of metrics.json."""

import io

import pytest
import rich.console

from fgf_keras.evaluation.comparison import comparison_markdown, comparison_rows, comparison_table


def summary(mean):
    if mean is None:
        return {"mean": None, "ci": [None, None], "median": None}
    return {"mean": mean, "ci": [mean - 0.05, mean + 0.05], "median": mean}


def alignment(first, undefined=0):
    kind = {
        "brightness": summary(first),
        "log_aspect_ratio": summary(0.25),
        "joint": {"squared": summary(0.5), "magnitude": summary(0.7)},
        "noise": summary(0.01),
    }
    white = {name: {"expected": 0.004, "below_0.05": 0.5} for name in ("brightness", "log_aspect_ratio")}
    white["joint"] = {"expected": 0.008, "below_0.05": 0.5}
    return {"S": kind, "F": kind, "undefined": {"S": undefined, "F": undefined + 1}, "white": white}


def metrics(auc, first, undefined=0):
    """metrics.json as far as a comparison reads it."""
    figure = {"value": 0.6, "ci": [0.5, 0.7]}
    split = {
        "n": 89,
        "n_positive": 12,
        "balanced_accuracy": figure,
        "auc": {"value": auc, "ci": [auc - 0.1, auc + 0.1]},
        "sensitivity": figure,
        "specificity": figure,
        "alignment": {"mask": alignment(first, undefined), "image": alignment(first, undefined)},
    }
    other = {**split, "n": 5, "n_positive": 1}
    return {"splits": {"train": other, "test": split}}


RUNS = {"baseline": metrics(0.712, 0.1), "reward": metrics(0.698, 0.9, undefined=3)}


def cells(markdown):
    lines = markdown.strip().split("\n")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_markdown_table_has_a_column_a_run_in_their_order():
    header, rule, *rows = cells(comparison_markdown(RUNS, "test"))
    assert header == ["test split", "baseline", "reward"]
    assert set(rule) == {"---"}
    assert all(len(row) == 3 for row in rows)


def test_each_row_has_the_numbers_of_its_figure_in_each_run():
    rows = {name: texts for name, *texts in cells(comparison_markdown(RUNS, "test"))}
    assert rows["AUC"] == ["0.712 [0.612, 0.812]", "0.698 [0.598, 0.798]"]
    assert rows["balanced accuracy"] == ["0.600 [0.500, 0.700]"] * 2
    assert rows["patients (positive)"] == ["89 (12)"] * 2
    assert rows["S brightness"] == ["0.100 [0.050, 0.150]", "0.900 [0.850, 0.950]"]
    assert rows["S log aspect ratio"] == ["0.250 [0.200, 0.300]"] * 2
    assert rows["F joint (squared)"] == ["0.500 [0.450, 0.550]"] * 2
    assert rows["F joint (magnitude)"] == ["0.700 [0.650, 0.750]"] * 2
    assert rows["S noise"] == ["0.010 [-0.040, 0.060]"] * 2
    (white,) = [texts for name, texts in rows.items() if "white noise" in name]
    assert white == ["0.004 / 0.008"] * 2
    (left_out,) = [texts for name, texts in rows.items() if "left out" in name]
    assert left_out == ["0 / 1", "3 / 4"]


def test_each_support_is_a_block_of_its_own():
    names = [name for name, _ in comparison_rows(RUNS, "test")]
    assert names.count("S brightness") == 2
    assert names.index("support: mask") < names.index("S brightness") < names.index("support: image")


def test_another_split_has_other_numbers():
    assert dict(comparison_rows(RUNS, "train"))["patients (positive)"] == ["5 (1)"] * 2


def test_what_is_undefined_says_so():
    run = metrics(0.7, None)
    for kind in ("S", "F"):
        run["splits"]["test"]["alignment"]["mask"][kind]["joint"]["squared"] = summary(None)
    rows = comparison_rows({"run": run}, "test")
    assert next(texts for name, texts in rows if name == "S joint (squared)") == ["undefined"]
    assert next(texts for name, texts in rows if name == "F brightness") == ["undefined"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_terminal_shows_what_the_markdown_holds(split):
    terminal = io.StringIO()
    rich.console.Console(file=terminal, width=200).print(comparison_table(RUNS, split))
    for row in cells(comparison_markdown(RUNS, split))[2:]:
        for cell in row:
            assert cell.strip("*") in terminal.getvalue()
