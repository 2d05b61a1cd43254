"""The files that TensorBoard reads, one for each run of a training."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import tensorflow as tf


class SummaryWriters:
    """Writes the events of the runs below a folder; TensorBoard shows each run in its own colour.

    There is one file per run, shared by all who write to it: TensorBoard may stop reading the older file of a
    run as soon as there is a newer one. Files are created when first written to, and again after `close`.

    Args:
        folder: for TensorBoard.

    Example:
        >>> with SummaryWriters("logs") as writers, writers.run("train", step=0):
        ...     tf.summary.scalar("loss/task", 0.5)
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._writers: dict[str, Any] = {}

    def run(self, name: str, step: int) -> AbstractContextManager[Any]:
        """A context in which `tf.summary` writes to the run, at this step."""
        if name not in self._writers:
            self._writers[name] = tf.summary.create_file_writer(str(self._folder / name))
        return self._writers[name].as_default(step=step)

    def flush(self) -> None:
        """Flush the files, so that TensorBoard sees everything written so far."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
