"""The files that TensorBoard reads, one for each run of a training."""

from pathlib import Path
from typing import Any

import tensorflow as tf


class SummaryWriters:
    """Writes events of the runs below a folder, which TensorBoard shows in one colour each.

    One file a run, whoever writes: a reader of TensorBoard may leave an older file of a run for good as soon
    as there is a newer one. Files are made when they are first written to, and again after `close`.

    Args:
        folder: for TensorBoard.

    Example:
        >>> with SummaryWriters("logs") as writers, writers.run("train", step=0):
        ...     tf.summary.scalar("loss/task", 0.5)
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._writers: dict[str, Any] = {}

    def run(self, name: str, step: int) -> Any:
        """What `tf.summary` writes inside of this context goes to the run, at this step."""
        if name not in self._writers:
            self._writers[name] = tf.summary.create_file_writer(str(self._folder / name))
        return self._writers[name].as_default(step=step)

    def flush(self) -> None:
        """Let TensorBoard see what was written so far."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Finish the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
