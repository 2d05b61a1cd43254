"""Atomic file writing, JSON, and locks for folders that only one process may work in."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from fgf_keras.errors import RunError

# A folder contains a file of this name until everything in it is complete.
UNFINISHED = "UNFINISHED"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path next to `path` to write to: moved to `path` on success, deleted otherwise."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, refusal: Exception) -> Iterator[None]:
    """Hold a lock file for this process until the block or the process ends.

    Args:
        path: the lock file, created if it does not exist.
        refusal: raised if another process holds the lock.
    """
    lock = filelock.FileLock(path, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise refusal from None
    try:
        yield
    finally:
        lock.release()


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON; the file is either complete or absent. NaN is an error: undefined numbers are null."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        text = json.dumps(content, indent=1, allow_nan=False)
        unfinished.write_text(f"{text}\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises:
        RunError: the file is missing or is not valid JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} cannot be read: {error}. The run is not complete; train or evaluate again."
        ) from None


def now() -> str:
    """The date and time, as files of a run state it."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
