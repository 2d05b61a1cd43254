"""What `module:name` in a configuration stands for."""

import importlib


def imported(path: str):
    """The object `name` of a module.

    Args:
        path: `module:name`.

    Raises:
        ImportError: there is no such module, or nothing of that name in it.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ImportError(str(error)) from error
