"""What needs no TensorFlow does not load it, and what needs it refuses other backends of Keras."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fgf_keras

ROOT = Path(__file__).parent.parent
COMMAND = """
import sys
from fgf_keras.cli.main import app
app(sys.argv[1:], standalone_mode=False)
loaded = {"tensorflow", "keras"} & set(sys.modules)
assert not loaded, loaded
"""
HELP = COMMAND.replace('"keras"}', '"keras", "pandas", "scipy", "sklearn", "matplotlib"}')


def python(program, *arguments, cwd=ROOT, **environment):
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    argv = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(argv, cwd=cwd, env=surroundings, capture_output=True, text=True, check=False)


def test_the_package_and_its_help_load_no_tensorflow():
    program = "import fgf_keras, sys; dir(fgf_keras); assert 'tensorflow' not in sys.modules"
    assert python(program).returncode == 0
    for words in (["--help"], ["train", "--help"], ["report", "--help"]):
        done = python(HELP, *words)
        assert done.returncode == 0, done.stderr


def test_commands_about_data_load_no_tensorflow(tmp_path):
    config = ROOT / "configs" / "phantom_dicom.yaml"
    small = ["--config", config, "data.phantom.patients=8", "data.size=32"]
    for words in (
        ["phantom", "--dicom", "cohort", "--jobs", 1, *small],
        ["inspect", "cohort"],
        ["prepare", "--jobs", 1, *small, "data.root=cohort", "data.out=slices"],
        ["preview", "slices"],
    ):
        done = python(COMMAND, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def test_results_and_reports_load_no_tensorflow_and_their_packages_no_matplotlib():
    quick = (
        "import sys, fgf_keras.results, fgf_keras.report; assert not LOADED & set(sys.modules), sys.modules"
    )
    done = python(quick.replace("LOADED", "{'tensorflow', 'keras', 'matplotlib'}"))
    assert done.returncode == 0, done.stderr
    every = """
import importlib, pkgutil, sys, fgf_keras.commands.outcome, fgf_keras.report, fgf_keras.results
for package in (fgf_keras.results, fgf_keras.report):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    done = python(every)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", ["import fgf_keras; fgf_keras.explain", "import fgf_keras.models"])
def test_another_backend_is_refused_before_keras_is_loaded(program):
    done = python(program, KERAS_BACKEND="jax")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("fgf_keras.errors.BackendError")
    assert "/keras/" not in done.stderr


def test_public_names_are_what_type_checkers_see():
    stub = Path(fgf_keras.__file__).with_suffix(".pyi")
    names = [line.names[0].asname for line in ast.parse(stub.read_text(encoding="utf-8")).body]
    assert sorted(fgf_keras.__all__) == sorted(names)
    assert all(getattr(fgf_keras, name).__name__ == name for name in names if name != "__version__")
    assert set(names) <= set(dir(fgf_keras))
    with pytest.raises(AttributeError, match="nothing"):
        fgf_keras.nothing  # noqa: B018
