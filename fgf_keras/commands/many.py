"""A comparison of arms over one or many splits: trained in parallel, resumed where it stopped, tabulated."""

import os
import threading
import time
from contextlib import contextmanager

from fgf_keras._backend import import_tensorflow
from fgf_keras.config import Config
from fgf_keras.errors import RunError
from fgf_keras.files import locked
from fgf_keras.progress import progress_bar
from fgf_keras.run.folder import RunFolder
from fgf_keras.run.trial import trials_of


def run_trials(config: Config, folder: RunFolder, data: dict) -> None:
    """Do every trial of a comparison that is not finished yet.

    Args:
        config: with arms.
        folder: of the comparison.
        data: patients and splits by the name of the trial, see `trial_data`.
    """
    trials = trials_of(config)
    left = [trial for trial in trials if not trial.folder(folder).is_finished]
    before = len(trials) - len(left)
    with progress_bar(long_steps=True) as bar:
        splits = len(config.protocol.split_names)
        title = f"Training {len(config.arms)} arms on {splits} split{'s' * (splits != 1)}"
        task = bar.add_task(title, total=len(trials), completed=before, before=before)
        for _ in _in_turn_or_parallel(config, folder, data, left):
            bar.advance(task)


def _in_turn_or_parallel(config, folder, data, trials):
    from fgf_keras.commands.train_trial import run_trial

    if config.compute.jobs == 1:
        for trial in trials:
            yield run_trial(trial, config, folder, *data[trial.name])
        return
    import joblib

    tasks = (
        joblib.delayed(_run_in_process)(os.getpid(), trial, config, folder.path, *data[trial.name])
        for trial in trials
    )
    with joblib.Parallel(config.compute.jobs, return_as="generator_unordered") as pool:
        yield from pool(tasks)


def _run_in_process(parent, trial, config, path, cohort, splits):
    _end_with(parent)
    import_tensorflow()
    from fgf_keras.commands.train_trial import run_trial

    run_trial(trial, config, RunFolder(path), cohort, splits)


def _end_with(parent):
    """A killed process cannot stop its children: without this they would train on beside a resumed one."""
    if any(thread.name == "end with parent" for thread in threading.enumerate()):
        return

    def watch():
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


@contextmanager
def alone_in(folder: RunFolder):
    """Hold a folder for this process, however it ends.

    Raises:
        RunError: another process works there.
    """
    refusal = RunError(f"Another process is working in {folder.path}. Wait for it, or stop it first.")
    with locked(folder.path / ".lock", refusal):
        yield
