"""Messages about errors in a configuration that say how to fix them."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

from fgf_keras.errors import ConfigError

_UNION_MEMBER = re.compile(r"(bool|int|float|str|none|(dict|list|literal)\[.*\])")


def choices(name: object, allowed: Iterable[object]) -> str:
    """A message with an unknown name, the allowed names, and the most similar of them."""
    text = f"{name!r} is not known; allowed: {', '.join(map(str, allowed))}"
    similar = difflib.get_close_matches(str(name), [str(a) for a in allowed], n=1)
    return f"{text} (did you mean {similar[0]!r}?)" if similar else text


def require(rules: Mapping[str, tuple[object, bool]], where: str = "") -> None:
    """Refuse settings that break a rule.

    Args:
        rules: for each rule in words, the value that was received, and whether the rule holds.
        where: what the settings are of, for the message.

    Raises:
        ConfigError: names the first rule that does not hold.
    """
    for rule, (value, holds) in rules.items():
        if not holds:
            raise ConfigError(f"{where}{rule}. Received: {value!r}.")


def describe_fault(error: Any, root: type[pydantic.BaseModel]) -> str:
    """One line for a pydantic error: the path of the key, the allowed values, the value received.

    Args:
        error: from `pydantic.ValidationError.errors()`.
        root: the model class that was validated.
    """
    # Pydantic adds the member of a union to the location; the file has no such key.
    keys = [str(part) for part in error["loc"] if not _UNION_MEMBER.fullmatch(str(part))]
    path = ".".join(keys)
    received = error["input"]
    if error["type"] == "extra_forbidden":
        allowed = list(_group_at(error["loc"][:-1], root).model_fields)
        return f"{path}: unknown key; {choices(error['loc'][-1], allowed).partition('; ')[2]}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{path}: {message}" if path else message
    message = message[0].lower() + message[1:]
    if error["type"] == "literal_error":
        similar = difflib.get_close_matches(str(received), re.findall(r"'([^']*)'", message), n=1)
        message += f" (did you mean {similar[0]!r}?)" if similar else ""
    return f"{path}: {message}. Received: {received!r} (of type {type(received).__name__})"


def _group_at(location: Iterable[str | int], root: type[pydantic.BaseModel]) -> type[pydantic.BaseModel]:
    """The class of the group at a location."""
    group = root
    for part in location:
        if isinstance(part, str) and part in group.model_fields:
            annotation = group.model_fields[part].annotation
            group = _group_in(annotation) or group
    return group


def _group_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    """The class of the group in an annotation, also of a list of groups; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if group := _group_in(argument):
            return group
    return None
