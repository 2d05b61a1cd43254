"""The trials of a comparison: run in sequence or in parallel, and resumed after an interruption."""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fgf_keras._backend import import_tensorflow
from fgf_keras.config import Config
from fgf_keras.errors import RunError
from fgf_keras.files import locked
from fgf_keras.progress import progress_bar
from fgf_keras.run.folder import RunFolder
from fgf_keras.run.trial import Trial, needed_trials, trials_of

if TYPE_CHECKING:
    import numpy as np

    from fgf_keras.commands.trial_data import TrialData
    from fgf_keras.data.cohort import Cohort


def run_trials(config: Config, folder: RunFolder, data: Mapping[str, "TrialData"]) -> None:
    """Run every trial of a comparison that is not finished yet.

    Args:
        config: of the comparison, with arms.
        folder: of the comparison.
        data: patients and splits by the name of the trial, see `trial_data`.
    """
    trials = trials_of(config)
    pending = [trial for trial in trials if not trial.folder(folder).is_finished]
    before = len(trials) - len(pending)
    with progress_bar(long_steps=True) as bar:
        splits = len(config.protocol.split_names)
        title = f"Training {len(config.arms)} arms on {splits} split{'s' * (splits != 1)}"
        task = bar.add_task(title, total=len(trials), completed=before, before=before)
        # Some trials begin with the weights of another one.
        waiting = [trial for trial in pending if needed_trials(trial, trials)]
        ready = [trial for trial in pending if trial not in waiting]
        for some in (ready, waiting):
            for _ in _in_turn_or_parallel(config, folder, data, some):
                bar.advance(task)


def _in_turn_or_parallel(
    config: Config, folder: RunFolder, data: Mapping[str, "TrialData"], trials: list[Trial]
) -> Iterator[None]:
    from fgf_keras.commands.train_trial import run_trial

    if config.compute.jobs == 1:
        for trial in trials:
            run_trial(trial, config, folder, *data[trial.name])
            yield
        return
    import joblib

    tasks = (
        joblib.delayed(_run_in_process)(os.getpid(), trial, config, folder.path, *data[trial.name])
        for trial in trials
    )
    with joblib.Parallel(config.compute.jobs, return_as="generator_unordered") as pool:
        yield from pool(tasks)


def _run_in_process(
    parent: int, trial: Trial, config: Config, path: Path, cohort: "Cohort", splits: dict[str, "np.ndarray"]
) -> None:
    _end_with(parent)
    import_tensorflow()
    from fgf_keras.commands.train_trial import run_trial

    run_trial(trial, config, RunFolder(path), cohort, splits)


def _end_with(parent: int) -> None:
    """Exit when the parent process does: a killed parent cannot stop its children, which would train on."""
    if any(thread.name == "end with parent" for thread in threading.enumerate()):
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


@contextmanager
def alone_in(folder: RunFolder) -> Iterator[None]:
    """Reserve a folder for this process until the block or the process ends.

    Raises:
        RunError: another process is working in the folder.
    """
    refusal = RunError(f"Another process is working in {folder.path}. Wait for it, or stop it first.")
    with locked(folder.path / ".lock", refusal):
        yield
