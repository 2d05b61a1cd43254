"""Checks of ids that become names of files."""

import re
from collections.abc import Iterable, Mapping

from fgf_keras.data.slices import listing
from fgf_keras.errors import DataError

# Names that are valid in every file system: a letter or digit first, no dot or blank last.
_PORTABLE = re.compile(r"\w(?:[\w .-]*[\w-])?")
LONGEST_NAME = 64
# Longest name in bytes that common file systems allow, with room for a suffix.
_LONGEST_BYTES = 240


def is_portable(name: str) -> bool:
    """Whether a new file can have this name on any system."""
    return len(name) <= LONGEST_NAME and _PORTABLE.fullmatch(name) is not None


def is_file_name(name: str) -> bool:
    """Whether a name stands for a single file in the same folder, and is valid in a file system."""
    return (
        bool(name.strip(". "))
        and not name.startswith("-")  # commands would take it for an option
        and not set(name) & set("/\\")
        and not any(ord(character) < 32 or ord(character) == 127 for character in name)
        and len(name.encode("utf-8", "surrogatepass")) <= _LONGEST_BYTES
    )


def require_file_names(names: Iterable[str], where: str) -> None:
    """Refuse ids that are not valid file names, or that could lead out of a folder.

    Args:
        names: the ids; if this is a mapping from ids to places, the message names the places too.
        where: the table with the ids, for the message.

    Raises:
        DataError: some ids are not valid names of files.
    """
    places = names if isinstance(names, Mapping) else {}
    unsafe = [
        f"{name!r} ({places[name]})" if name in places else repr(name)
        for name in names
        if not is_file_name(name)
    ]
    if unsafe:
        raise DataError(
            f"{where}: an id names a file, so it must not be empty, dots alone or very long, begin with '-', "
            f"or hold '/', '\\' or control characters. Received: {listing(unsafe)}. Rename these."
        )
