"""Runs side by side: one column per run, with the numbers of metrics.json, in Markdown and on a terminal."""

import io

import pytest
import rich.console
from metrics_file import alignment, metrics_content, part

from fgf_keras.report.markdown import blocks_as_markdown
from fgf_keras.report.sections.side_by_side import side_by_side_table
from fgf_keras.report.terminal import as_terminal
from fgf_keras.results.metrics import RunMetrics


def run(auc, first, undefined=0):
    shares = {"brightness": first, "log_aspect_ratio": 0.25, "joint": 0.49, "noise": 0.01}
    supports = {name: alignment(shares, undefined=(undefined, undefined + 1)) for name in ("mask", "image")}
    parts = {
        "train": part(supports, auc=auc, n=5, n_positive=1),
        "test": part(supports, auc=auc, n=89, n_positive=12),
    }
    return RunMetrics.of(metrics_content(parts)).parts


RUNS = {"baseline": run(0.712, 0.1), "reward": run(0.698, 0.9, undefined=3)}


def table(name="test", runs=RUNS):
    return side_by_side_table({arm: parts[name] for arm, parts in runs.items()}, f"{name} split")


def cells(markdown):
    lines = [line for line in markdown.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def on_terminal(width, runs=RUNS):
    stream = io.StringIO()
    rich.console.Console(file=stream, width=width).print(as_terminal([table(runs=runs)]))
    return stream.getvalue()


def test_the_markdown_table_has_one_column_per_run_in_their_order():
    markdown = blocks_as_markdown([table()])
    header, rule, *rows = cells(markdown)
    assert markdown.startswith("*test split*")
    assert header == ["", "baseline", "reward"]
    assert set(rule) == {"---"}
    assert all(len(row) == 3 for row in rows)


def test_each_row_has_the_numbers_of_its_metric_in_each_run():
    rows = {name: texts for name, *texts in cells(blocks_as_markdown([table()]))}
    assert rows["AUC"] == ["0.712 [0.612, 0.812]", "0.698 [0.598, 0.798]"]
    assert rows["balanced accuracy"] == ["0.600 [0.500, 0.700]"] * 2
    assert rows["patients (positive)"] == ["89 (12)"] * 2
    assert rows["S brightness"] == ["0.100 [0.050, 0.150]", "0.900 [0.850, 0.950]"]
    assert rows["S log aspect ratio"] == ["0.250 [0.200, 0.300]"] * 2
    assert rows["F joint (squared)"] == ["0.490 [0.440, 0.540]"] * 2
    assert rows["F joint (magnitude)"] == ["0.700 [0.650, 0.750]"] * 2
    assert rows["S noise"] == ["0.010 [-0.040, 0.060]"] * 2
    assert rows["**support: mask**"] == ["", ""]
    (white,) = [texts for name, texts in rows.items() if "white noise" in name]
    assert white == ["0.004 / 0.008"] * 2
    (left_out,) = [texts for name, texts in rows.items() if "left out" in name]
    assert left_out == ["0 / 1", "3 / 4"]


def test_each_support_is_a_block_of_its_own():
    names = [row[0] for row in table().rows]
    assert names.count("S brightness") == 2
    assert names.index("support: mask") < names.index("S brightness") < names.index("support: image")


def test_another_part_has_other_numbers():
    assert table("train").rows[0] == ["patients (positive)", "5 (1)", "5 (1)"]


def test_what_is_undefined_says_so():
    shares = {"brightness": None, "joint": None}
    parts = RunMetrics.of(metrics_content({"test": part({"mask": alignment(shares)})})).parts
    rows = {row[0]: row[1:] for row in table(runs={"run": parts}).rows}
    assert rows["S joint (squared)"] == ["undefined"]
    assert rows["F brightness"] == ["undefined"]


@pytest.mark.parametrize("width", [200, 80, 40])
def test_the_terminal_shows_every_number_whole_at_any_width(width):
    shown = on_terminal(width)
    assert max(map(len, shown.splitlines())) <= width
    for name, *texts in table().rows:
        assert name in shown
        assert all(text in shown for text in texts)


def test_a_terminal_that_is_too_narrow_for_the_columns_has_the_cells_below_their_row():
    many = {f"arm {i}": RUNS["baseline"] for i in range(5)}
    lines = [line.strip() for line in on_terminal(80, many).splitlines()]
    at = lines.index("AUC")
    assert lines[at + 1 : at + 6] == [f"arm {i}  0.712 [0.612, 0.812]" for i in range(5)]
