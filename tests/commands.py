"""Runs train.py and evaluate.py in processes of their own, as a user does."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent

# A cohort and a network so small that a whole run takes seconds.
TINY = """
data:
  size: 32
  phantom: {patients: 60, prevalence: 0.4}
model: {filters: [4, 4], kernel_sizes: [3, 3], pool_size: 4, dense: [8]}
features: [brightness, extent]
reward: {kind: sum, weight: 0.1}
train: {epochs: 2, flow_patients: 4}
evaluate: {bootstrap: 100, noise_draws: 1, pictures: 2, flow: {max_steps: 8}}
"""

# One process for several commands, because each would wait seconds for TensorFlow to be imported.
_SEVERAL = """
import contextlib, io, json, runpy, sys
done = {}
for name, argv in json.loads(sys.argv[1]).items():
    sys.argv, out, err, code = argv, io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(argv[0], run_name="__main__")
        except SystemExit as stop:
            code = stop.code or 0
    done[name] = (code, out.getvalue(), err.getvalue())
print(json.dumps(done))
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def command(script, *arguments, cwd, **environment) -> Done:
    """`python script arguments`."""
    argv = [str(ROOT / script), *map(str, arguments)]
    return Done(*_python(argv, cwd, environment))


def commands(by_name, *, cwd) -> dict[str, Done]:
    """Several commands {name: (script, *arguments)}, one after the other."""
    argvs = {name: [str(ROOT / script), *map(str, rest)] for name, (script, *rest) in by_name.items()}
    code, out, err = _python(["-c", _SEVERAL, json.dumps(argvs)], cwd, {"PYTHONPATH": str(ROOT)})
    assert code == 0, err
    return {name: Done(*end) for name, end in json.loads(out.splitlines()[-1]).items()}


def kill_when(pattern, *argv, cwd, log) -> None:
    """`python argv`, killed as soon as a file below `cwd` matches the pattern; it prints into `log`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, *map(str, argv)],
            cwd=cwd,
            stdout=stream,
            stderr=stream,
            env=environment,
            start_new_session=True,
        )
    try:
        while process.poll() is None and not list(cwd.glob(pattern)):
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()


def _python(argv, cwd, environment):
    # The width keeps messages and tables on one line.
    surroundings = os.environ | {"COLUMNS": "1000"} | environment
    done = subprocess.run([sys.executable, *argv], cwd=cwd, env=surroundings, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr
