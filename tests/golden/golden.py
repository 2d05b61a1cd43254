"""Small runs of every command, whose numbers a change of structure must leave as they are.

`make golden` runs them in a temporary folder and compares what they wrote with `expected/`, number by number;
`make golden ARGS=--write` replaces `expected/`. On one machine the numbers are the same bit for bit. Another
processor rounds differently, and training spreads that: compare there with ARGS="--tolerance 1e-3", or write
first, at the commit to compare with.
"""

import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EXPECTED = HERE / "expected"
SMALL = HERE / "small.yaml"
FGF = ("-m", "fgf_keras")
# Whatever makes arms and splits: nothing that only a single run needs.
MANY = ("evaluate.pictures=0", "train.measure=false", "evaluate.support=[mask]", "evaluate.collapse=false")

# What is run, in this order, in one folder.
COMMANDS = {
    "train": [ROOT / "train.py", "--config", SMALL],
    "sanity": [ROOT / "evaluate.py", "--run", "run/latest", "--sanity", "--permutations", "1"],
    "comparison": [
        *(ROOT / "train.py", "--config", SMALL, "run.dir=comparison", *MANY),
        *("protocol.arms=[baseline,joint]", "protocol.repeats=2"),
    ],
    "sweep": [
        *(*FGF, "sweep", "--config", SMALL, "run.dir=sweep", *MANY),
        *("sweep.kinds=[sum]", "sweep.points=2", "protocol.repeats=2", "evaluate.behaviour=false"),
    ],
    "truth": [
        *(*FGF, "truth", "--config", SMALL, "run.dir=truth", *MANY, "evaluate.behaviour=false"),
        *("reward.kind=none", "truth.laws={nothing: {}, bright: {brightness: 4.0}}"),
        "truth.prevalences=[0.4]",
    ],
    "phantom": [*FGF, "phantom", "--dicom", "dicom", "--config", HERE / "dicom.yaml"],
    "prepare": [*FGF, "prepare", "--config", HERE / "dicom.yaml"],
    "export": [*FGF, "export", "--run", "run/latest"],
    "explain": [*FGF, "explain", "--saved-model", "run/latest/saved_model", "--images", "prepared"],
    "signatures": [HERE / "signatures.py", "run/latest/saved_model/2", "signatures.json"],
}

# What is kept of it: files by pattern.
KEPT = (
    "run/latest/metrics.json",
    "run/latest/evaluation/[!d]*.json",  # all but data.json, which describes the cohort
    "run/latest/evaluation/patients.csv",
    "comparison/latest/repeat_01/joint/metrics.json",
    "comparison/latest/*.csv",
    "comparison/latest/*/findings.json",
    "sweep/latest/sweep.csv",
    "truth/latest/truth.csv",
    "prepared/cohort.csv",
    "explanations/*.json",
    "signatures.json",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="replace what is expected")
    parser.add_argument("--tolerance", type=float, default=0.0, help="relative; 0 is bit for bit")
    parser.add_argument("--keep", help="folder to run in, left as it is afterwards")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.keep or temporary)
        folder.mkdir(exist_ok=True)
        run_commands(folder)
        texts = {name: path.read_text(encoding="utf-8") for name, path in sorted(kept_files(folder).items())}
    if arguments.write:
        write(texts)
        return
    differences = compare(texts, arguments.tolerance)
    print("\n".join(differences[:40] or [f"{len(texts)} files: every number as expected"]))
    sys.exit(f"{len(differences)} differences" if differences else 0)


def run_commands(folder):
    surroundings = os.environ | {
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "Agg",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "COLUMNS": "120",
    }
    for name, argv in COMMANDS.items():
        print(name, flush=True)
        done = subprocess.run(
            [sys.executable, *map(str, argv)], cwd=folder, env=surroundings, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def kept_files(folder):
    """Files by a name that is the same in every run."""
    files = {
        path.relative_to(folder).as_posix().replace("/latest/", "/"): path
        for pattern in KEPT
        for path in folder.glob(pattern)
    }
    return {name.replace("/", "."): path for name, path in files.items()}


def write(texts):
    EXPECTED.mkdir(exist_ok=True)
    for old in EXPECTED.iterdir():
        old.unlink()
    for name, text in texts.items():
        (EXPECTED / name).write_text(text, encoding="utf-8")
    print(f"{len(texts)} files written to {EXPECTED}")


def compare(texts, tolerance):
    """A line for each file or number that is not as expected."""
    expected = {path.name: path.read_text(encoding="utf-8") for path in sorted(EXPECTED.iterdir())}
    lines = [f"{name}: not expected" for name in texts if name not in expected]
    for name, text in expected.items():
        if name not in texts:
            lines.append(f"{name}: not written")
            continue
        old, new = values(name, text), values(name, texts[name])
        for key in dict.fromkeys([*old, *new]):
            before, now = old.get(key, "nothing"), new.get(key, "nothing")
            if not same(before, now, tolerance):
                lines.append(f"{name} {key}: {before} before, {now} now")
    return lines


def values(name, text):
    """Every value of a JSON or CSV file by its place in it."""
    if name.endswith(".csv"):
        rows = csv.DictReader(text.splitlines())
        return {f"{i}.{key}": number(cell) for i, row in enumerate(rows) for key, cell in row.items()}
    return dict(leaves(json.loads(text), ""))


def leaves(tree, place):
    if isinstance(tree, dict | list):
        for key, branch in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(branch, f"{place}.{key}" if place else str(key))
    else:
        yield place, tree


def number(cell):
    try:
        return float(cell)
    except ValueError:
        return cell


def same(before, now, tolerance):
    numbers = all(isinstance(value, int | float) for value in (before, now))
    if numbers and tolerance:
        return math.isclose(before, now, rel_tol=tolerance, abs_tol=tolerance)
    return before == now or (numbers and math.isnan(before) and math.isnan(now))


if __name__ == "__main__":
    main()
