"""Files that are whole or not there, JSON, and folders that one process at a time works in."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from fgf_keras.errors import RunError

# A file of this name is in a folder until all of it is there.
UNFINISHED = "UNFINISHED"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, beside `path`; it takes that place when all went well, and vanishes otherwise."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, refusal: Exception) -> Iterator[None]:
    """Hold a lock file for this process, until the block ends or the process does.

    Args:
        path: of the lock file, made if it is not there.
        refusal: raised where another process holds it.
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


def write_json(path, content):
    """Write JSON so that the file is whole or not there. NaN is an error: undefined numbers are null."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        text = json.dumps(content, indent=1, allow_nan=False)
        unfinished.write_text(f"{text}\n", encoding="utf-8")


def read_json(path):
    """Read JSON.

    Raises:
        RunError: the file is missing or broken.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} cannot be read: {error}. The run is not complete; train or evaluate again."
        ) from None
