"""Files are UTF-8, whatever the locale."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for folder in ("fgf_keras", "benchmarks", "tests", "deploy")
    for path in (ROOT / folder).rglob("*.py")
)

PROGRAM = """
import locale, sys
from fgf_keras.config import load_config
from fgf_keras.files import read_json, write_json
from fgf_keras.run.folder import RunFolder
assert locale.getpreferredencoding(False).lower() not in ("utf-8", "utf8"), "the locale did not take"
config = load_config(sys.argv[1], ["data.root=/data/M\\u00fcller"])
folder = RunFolder.create(sys.argv[2], config)
assert folder.load_config() == config
write_json(folder.metrics_file, {"name": "M\\u00fcller"})
assert read_json(folder.metrics_file) == {"name": "M\\u00fcller"}
"""


def test_a_run_with_letters_beyond_ascii_is_read_again_under_another_locale(tmp_path):
    # The C locale, without Python's own way out of it; any that is not UTF-8 does the same.
    other = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    phantom = str(ROOT / "configs" / "phantom.yaml")
    subprocess.run(
        [sys.executable, "-c", PROGRAM, phantom, str(tmp_path / "run")], env=os.environ | other, check=True
    )


def without_encoding(call):
    """Whether a call opens a text file and leaves the encoding to the locale."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if name in ("read_text", "write_text"):
        return True
    if name != "open" or (isinstance(function, ast.Attribute) and call.args and len(call.args) > 1):
        return False
    position = 0 if isinstance(function, ast.Attribute) else 1
    modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] + call.args[position:]
    if isinstance(function, ast.Attribute) and not modes:
        return False  # Path.open() reads text, but so do the open() of other classes read theirs
    mode = modes[0].value if modes and isinstance(modes[0], ast.Constant) else "r" if not modes else None
    return isinstance(mode, str) and set(mode) <= set("rwaxt+")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_file_is_opened_without_its_encoding(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert [call.lineno for call in calls if without_encoding(call)] == []
