"""The layout that CONTRIBUTING.md describes: what stands where, and how long files and functions are."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "fgf_keras"
ROOT_MODULES = {"__init__", "__main__", "_backend", "_version", "errors", "files", "progress", "seeds"}
WINGS = {
    *("cli", "commands", "config", "data", "features", "flow", "geometry", "measure", "models", "nulls"),
    *("pictures", "report", "results", "run", "serving", "training"),
}
FILES = sorted(PACKAGE.rglob("*.py"))


def test_the_root_holds_wings_and_few_modules():
    assert {path.stem for path in PACKAGE.glob("*.py")} == ROOT_MODULES
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == WINGS


def test_every_folder_is_a_package_with_a_sentence():
    for folder in {path.parent for path in FILES}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), folder


def test_files_are_of_one_idea():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path.name: n for path, n in lengths.items() if n > 300} == {}


def test_functions_fit_on_a_screen():
    long = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                if node.body[-1].end_lineno - first.lineno >= 60:
                    long.append(f"{path.name}: {node.name}")
    assert long == []
