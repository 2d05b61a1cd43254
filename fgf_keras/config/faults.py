"""What is wrong with a configuration, said so that it can be put right."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import pydantic

_UNION_MEMBER = re.compile(r"(bool|int|float|str|none|(dict|list|literal)\[.*\])")


def choices(given: object, allowed: Iterable[object]) -> str:
    """A name that is not known, the names that are, and the one nearest to it."""
    text = f"{given!r} is not known; allowed: {', '.join(map(str, allowed))}"
    near = difflib.get_close_matches(str(given), [str(a) for a in allowed], n=1)
    return f"{text} (did you mean {near[0]!r}?)" if near else text


def describe_fault(error: Any, root: type[pydantic.BaseModel]) -> str:
    """One line for one of pydantic's errors: the key's path, what is allowed, what was given.

    Args:
        error: from `pydantic.ValidationError.errors()`.
        root: the model class that was validated.
    """
    # Pydantic names the member of a union in the location; the file has no such key.
    keys = [str(part) for part in error["loc"] if not _UNION_MEMBER.fullmatch(str(part))]
    path = ".".join(keys)
    received = error["input"]
    if error["type"] == "extra_forbidden":
        allowed = list(_section_at(error["loc"][:-1], root).model_fields)
        return f"{path}: unknown key; {choices(error['loc'][-1], allowed).partition('; ')[2]}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{path}: {message}" if path else message
    message = message[0].lower() + message[1:]
    if error["type"] == "literal_error":
        near = difflib.get_close_matches(str(received), re.findall(r"'([^']*)'", message), n=1)
        message += f" (did you mean {near[0]!r}?)" if near else ""
    return f"{path}: {message}. Received: {received!r} (of type {type(received).__name__})"


def _section_at(location: Iterable[str | int], root: type[pydantic.BaseModel]) -> type[pydantic.BaseModel]:
    group = root
    for part in location:
        if isinstance(part, str) and part in group.model_fields:
            annotation = group.model_fields[part].annotation
            group = _section_in(annotation) or group
    return group


def _section_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    """The class of a group inside an annotation, for lists of groups too."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _section_in(argument):
            return found
    return None
