"""A progress bar over epochs."""

import keras
import rich.progress

from fgf_keras.progress import progress_bar


class ProgressCallback(keras.callbacks.Callback):
    """One line for the whole training: epochs done, time left, a few figures. Silent without a terminal.

    Args:
        title: what is being trained.
        keys: entries of `logs` to show.
    """

    def __init__(self, title: str, keys=("val_auc", "val_S_joint")):
        super().__init__()
        self._title = title
        self._keys = keys

    def on_train_begin(self, logs=None):
        """Open the bar."""
        self._bar = progress_bar(rich.progress.TextColumn("{task.fields[figures]}"))
        self._task = self._bar.add_task(self._title, total=self.params["epochs"], figures="")
        self._bar.start()

    def on_epoch_end(self, epoch, logs=None):
        """Advance it."""
        figures = "  ".join(f"{key} {logs[key]:.3f}" for key in self._keys if key in (logs or {}))
        self._bar.update(self._task, completed=epoch + 1, figures=figures)

    def on_train_end(self, logs=None):
        """Close it."""
        self._bar.stop()
