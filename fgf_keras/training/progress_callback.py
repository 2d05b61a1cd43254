"""A progress bar over epochs."""

from collections.abc import Sequence
from typing import Any

import keras
import rich.progress

from fgf_keras.progress import progress_bar


class ProgressCallback(keras.callbacks.Callback):
    """One line for the whole training: epochs done, time left, a few metrics. Silent without a terminal.

    Args:
        title: text of the bar, which says what is trained.
        keys: entries of `logs` to show.
    """

    def __init__(self, title: str, keys: Sequence[str] = ("val_auc", "val_S_joint")) -> None:
        super().__init__()
        self._title = title
        self._keys = keys

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the bar."""
        self._bar = progress_bar(rich.progress.TextColumn("{task.fields[metrics]}"))
        self._task = self._bar.add_task(self._title, total=self.params["epochs"], metrics="")
        self._bar.start()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Advance the bar."""
        logs = logs or {}
        metrics = "  ".join(f"{key} {logs[key]:.3f}" for key in self._keys if key in logs)
        self._bar.update(self._task, completed=epoch + 1, metrics=metrics)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the bar."""
        self._bar.stop()
