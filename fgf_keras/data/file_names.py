"""The one check of every id that becomes the name of a file."""

import re
from collections.abc import Iterable, Mapping

from fgf_keras.data.slices import listing
from fgf_keras.errors import DataError

# Names that every file system takes: a letter or digit first, no dot or blank last.
_PORTABLE = re.compile(r"\w(?:[\w .-]*[\w-])?")
LONGEST_NAME = 64
# Bytes of a name that common file systems take, with room for a suffix.
_LONGEST_BYTES = 240


def is_portable(name: str) -> bool:
    """Whether a name may be given to a new file on any system."""
    return len(name) <= LONGEST_NAME and _PORTABLE.fullmatch(name) is not None


def is_file_name(name: str) -> bool:
    """Whether a name is that of one file: it leads to no other folder, and a file system takes it."""
    return (
        bool(name.strip(". "))
        and not name.startswith("-")  # an option, to commands
        and not set(name) & set("/\\")
        and not any(ord(character) < 32 or ord(character) == 127 for character in name)
        and len(name.encode("utf-8", "surrogatepass")) <= _LONGEST_BYTES
    )


def require_file_names(names: Iterable[str], where: str):
    """Refuse ids that could lead out of a folder, with what they are.

    Args:
        names: the ids; a mapping from these to the places where they stand names the places too.
        where: in which table.

    Raises:
        DataError: some are no names of files.
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
