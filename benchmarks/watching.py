"""What watching a training in TensorBoard costs, as a part of the training's own epochs.

A training as `train.py` does it, once, with train.measure on: the time of each epoch's steps and validation,
and of all that is measured, drawn and written at its end. The first epoch traces graphs and is told apart.
Ratios are of sums over the other epochs, so that rare measurements count as often as they come. On a busy
machine the seconds of the cores, of all threads together, are the careful figure.

    python benchmarks/watching.py --config configs/hn_cnn.yaml data.root=DIR [key.sub=value …]
    python benchmarks/watching.py --config configs/hn_cnn.yaml data.source=phantom data.phantom.patients=298
"""

import argparse
import functools
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from measuring import surroundings

from fgf_keras.commands.trial_data import trial_data
from fgf_keras.config import load_config
from fgf_keras.run.folder import RunFolder
from fgf_keras.training import fit as fitting
from fgf_keras.training.alignment_callback import AlignmentCallback
from fgf_keras.training.tensorboard.run import write_run
from fgf_keras.training.tensorboard.scalars import EpochScalars


def now():
    """Seconds on the wall and of the cores."""
    return np.array([time.perf_counter(), time.process_time()])


class Clock:
    """Seconds on the wall and of the cores: of epochs, of our callbacks after them, and before the first."""

    def __init__(self):
        self.epochs, self.ours, self.before = [], [], np.zeros(2)
        self._start = None

    def install(self):
        """Time every training from now on."""
        for owner in (AlignmentCallback, EpochScalars):
            owner.on_train_begin = self._timed(owner.on_train_begin)
            owner.on_epoch_end = self._timed(owner.on_epoch_end)
        fitting.write_run = self._timed(write_run)
        both = keras.callbacks.CallbackList
        begin, end = both.on_epoch_begin, both.on_epoch_end

        def begun(callbacks, *arguments):
            self._start = now()
            self.ours.append(np.zeros(2))
            begin(callbacks, *arguments)

        def ended(callbacks, *arguments):
            end(callbacks, *arguments)
            self.epochs.append(now() - self._start)

        both.on_epoch_begin, both.on_epoch_end = begun, ended

    def _timed(self, method):
        @functools.wraps(method)
        def timed(*arguments, **named):
            start = now()
            method(*arguments, **named)
            target = self.ours[-1] if self.ours else self.before
            target += now() - start

        return timed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="configs/hn_cnn.yaml")
    parser.add_argument("overrides", nargs="*", help="key.sub=value")
    arguments = parser.parse_intermixed_args()
    always = ["train.measure=true", "protocol.arms=[]", "protocol.repeats=1"]
    config = load_config(arguments.config, [*always, *arguments.overrides])
    fitting.configure_compute(config.compute)
    cohort, splits = next(iter(trial_data(config).values()))
    clock = Clock()
    clock.install()
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder.create(Path(place) / "run", config)
        fitting.fit(config, cohort, splits, folder, title=None)
        size = sum(file.stat().st_size for file in folder.logs.rglob("*") if file.is_file())
    ours = np.array(clock.ours)
    plain = np.array(clock.epochs) - ours
    ratio = ours[1:].sum(axis=0) / plain[1:].sum(axis=0)
    usual = np.median(plain[1:], axis=0)
    rows = {
        "plain epoch": (usual, np.ones(2)),
        "watching, median epoch": (np.median(ours[1:], axis=0), np.median(ours[1:], axis=0) / usual),
        "watching, longest epoch": (ours[1:].max(axis=0), ours[1:].max(axis=0) / usual),
        "watching, all epochs": (ours[1:].sum(axis=0), ratio),
        "first epoch and before": (clock.before + ours[0], (clock.before + ours[0]) / usual),
    }
    counts = ", ".join(f"{name} {len(rows)}" for name, rows in splits.items())
    print(f"{cohort.images.shape[1]} px, {counts}; {len(plain)} epochs; {surroundings()}\n")
    print(f"{'':26}{'s':>10}{'ratio':>10}{'s of cores':>12}{'ratio':>10}")
    for name, (seconds, part) in rows.items():
        print(f"{name:26}{seconds[0]:10.3f}{part[0]:10.3f}{seconds[1]:12.3f}{part[1]:10.3f}")
    print(f"\nfiles {size / 1e3:.0f} kB\n")
    found = {
        name.replace(", ", "_").replace(" ", "_"): {
            "median_s": seconds[0],
            "ratio": part[0],
            "cores_s": seconds[1],
            "cores_ratio": part[1],
        }
        for name, (seconds, part) in rows.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
