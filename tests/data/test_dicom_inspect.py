"""The table of what a folder holds."""

import os
import subprocess
import sys

import numpy as np
import pytest
from dicom_fixtures import L_SHAPE, Stack
from typer.testing import CliRunner

from fgf_keras.cli.main import app
from fgf_keras.data.dicom.inspect import inspect_folder
from fgf_keras.errors import ConfigError
from fgf_keras.progress import console


@pytest.fixture
def folder(tmp_path):
    stack = Stack()
    stack.write(tmp_path, {i: {"PatientName": "SECRET^NAME"} for i in range(5)})
    contour = stack.points(L_SHAPE, 5)
    stack.structure_set(tmp_path / "rs", [(3, "GTV primary", [contour]), (7, "GTV node", [contour, contour])])
    stack.segmentation(tmp_path / "seg", [(1, 2, np.ones((12, 16), bool))], labels=["lesion"])
    (tmp_path / "notes.txt").write_text("nothing to see", encoding="utf-8")
    return tmp_path


def test_series_regions_and_choice_are_listed(folder):
    rows, index = inspect_folder(folder, pattern="gtv PRIMARY")
    by_kind = {kind: (content, chosen) for _, kind, content, chosen in rows}
    assert by_kind["CT"][0].startswith("5 slices of 12 × 16")
    assert by_kind["RTSTRUCT"] == ("3: GTV primary (1 contours), 7: GTV node (2 contours)", "3: GTV primary")
    assert by_kind["SEG"] == ("1: lesion", "")
    assert [file.path for file in index.rejected] == ["notes.txt"]


def test_a_series_that_cannot_be_stacked_says_why(folder):
    slices = sorted(p for p in folder.iterdir() if p.name not in ("rs", "seg", "notes.txt"))
    slices[2].unlink()
    rows, _ = inspect_folder(folder)
    assert "1 slices seem to be missing" in next(content for _, kind, content, _ in rows if kind == "CT")
    slices[1].write_bytes(slices[1].read_bytes()[:-9])
    rows, _ = inspect_folder(folder)
    assert "refused: 1 of 4 files" in next(content for _, kind, content, _ in rows if kind == "CT")


def test_the_command_prints_no_names_and_counts_what_it_cannot_use(folder):
    result = CliRunner().invoke(app, ["inspect", str(folder), "--roi", "gtv.*"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "1 patient, 1 file that cannot be used" in result.output
    assert "notes.txt" in result.output
    assert "SECRET" not in result.output
    missing = CliRunner().invoke(app, ["inspect", str(folder / "nowhere")])
    assert missing.exit_code == 1


def test_what_a_config_would_choose_is_shown_or_why_nothing(folder, tmp_path_factory, monkeypatch):
    # Wide enough for the whole row; COLUMNS counts only until the console is made.
    monkeypatch.setattr(console, "width", 250)
    file = tmp_path_factory.mktemp("config") / "config.yaml"

    def shown(pattern):
        file.write_text(
            f"data: {{source: dicom, root: nowhere, out: x, roi: {{pattern: {pattern}}}}}", encoding="utf-8"
        )
        result = CliRunner().invoke(app, ["inspect", str(folder), "--config", str(file)])
        assert result.exit_code == 0
        return next(line for line in result.output.splitlines() if "→ config" in line)

    one = shown("gtv primary")
    assert "RTSTRUCT 3: GTV primary; slice index 2 of 5, 47 pixels inside" in one
    assert "2 regions fit" in shown("gtv.*")
    assert CliRunner().invoke(app, ["inspect"]).exit_code == 1


def test_a_pattern_that_is_none_is_refused(folder):
    with pytest.raises(ConfigError, match="not a regular expression"):
        inspect_folder(folder, pattern="(gtv")


def test_reading_dicom_does_not_wait_for_tensorflow():
    program = "import sys, fgf_keras.data.dicom.inspect; sys.exit('tensorflow' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0
