"""One process at a time."""

import fcntl
from typing import IO


def lock_file(stream: IO, refusal: Exception):
    """Lock an open file for this process; the system lets go of it when it is closed or the process ends.

    Args:
        stream: the file.
        refusal: raised where another process holds it.
    """
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise refusal from None
