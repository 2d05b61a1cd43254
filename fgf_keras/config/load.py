"""Reading a configuration from YAML with overrides, and writing it as YAML."""

import json
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import omegaconf
import pydantic
import yaml
from omegaconf import OmegaConf

from fgf_keras.config.config import Config
from fgf_keras.config.faults import describe_fault
from fgf_keras.errors import ConfigError

# First and last line of the configuration file of a run.
_WHOLE_BEGIN = "# What this run was trained with; the last line says that all of it is here.\n"
_WHOLE_END = "# The end: without this line the file was cut.\n"


def load_config(file: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file, apply `key.sub=value` overrides, and check everything.

    Raises:
        ConfigError: the file is missing or not YAML, or a key is unknown, of the wrong type or out of range.
            The message lists every error with the path of the key, the allowed values and the value received.
    """
    path = Path(file)
    if not path.is_file():
        yaml_files = sorted(str(p) for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        hint = f" Found there: {', '.join(yaml_files)}." if yaml_files else ""
        raise ConfigError(f"Config file {str(file)!r} does not exist.{hint} Give --config a YAML file.")
    try:
        tree = OmegaConf.load(path)
    except Exception as error:
        raise ConfigError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(tree, omegaconf.DictConfig):
        raise ConfigError(f"{file} must hold groups (key: value). Received: {type(tree).__name__}.")
    return parse_config(overridden(tree, overrides, source=str(file)), source=str(file))


def overridden(tree: Any, overrides: Sequence[str], *, source: str) -> dict[str, Any]:
    """A tree of groups with `key.sub=value` overrides applied, as a plain dictionary.

    Raises:
        ConfigError: an override that does not have this form.
    """
    try:
        tree = OmegaConf.create(tree)
        for override in overrides:
            key, equals, value = override.partition("=")
            if not equals or not key:
                raise ConfigError(f"Override {override!r} must read key.sub=value, e.g. train.epochs=3.")
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            if _is_text(key) and not quoted and value not in ("", "null"):
                # Taken literally: YAML would cut a path at " #" and read 2024 as a number.
                OmegaConf.update(tree, key, value)
            else:
                tree = OmegaConf.merge(tree, _parsed_override(override))
        plain: Any = OmegaConf.to_container(tree, resolve=True)
        return plain
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{source} with overrides {list(overrides)} cannot be read: {error}") from error


def _is_text(key: str) -> bool:
    """Whether the value of a key is always text."""
    group: type | None = Config
    for part in key.split("."):
        if not (isinstance(group, type) and issubclass(group, pydantic.BaseModel)):
            return False
        field = group.model_fields.get(part)
        if field is None:
            return False
        union = typing.get_origin(field.annotation) in (typing.Union, types.UnionType)
        kinds = {*typing.get_args(field.annotation)} - {type(None)} if union else {field.annotation}
        group = next((k for k in kinds if isinstance(k, type) and issubclass(k, pydantic.BaseModel)), None)
    return kinds == {str}


def _parsed_override(override: str) -> Any:
    try:
        return OmegaConf.from_dotlist([override])
    except yaml.YAMLError:
        # Text that YAML requires to be quoted, like the separator in data.separator=,
        key, _, value = override.partition("=")
        return OmegaConf.from_dotlist([f"{key}={json.dumps(value)}"])


def parse_config(tree: dict[str, Any], *, source: str = "config") -> Config:
    """Check a plain dictionary; raises `ConfigError` as `load_config` does."""
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        faults = [describe_fault(e, Config) for e in error.errors()]
        raise ConfigError(
            f"{source}: {len(faults)} fault(s)\n" + "\n".join(f"  {f}" for f in faults)
        ) from None


def load_whole_config(file: str | Path) -> Config:
    """Read a file written with `dump_whole_yaml`.

    Raises:
        ConfigError: as `load_config`, or a part of the file is missing.
    """
    try:
        content = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from None
    # Files of earlier versions have no such lines. The file may have been edited, but not cut.
    marked = content.startswith(_WHOLE_BEGIN) or _WHOLE_BEGIN.startswith(content)
    if marked and not content.endswith(_WHOLE_END):
        raise ConfigError(
            f"{file} was cut: its last line is missing, and the run may have been trained with other "
            "settings than those that are left. Restore the file, or train again."
        )
    return load_config(file)


def dump_whole_yaml(config: Config) -> str:
    """Like `dump_yaml`, with a first and a last line that show whether the file is complete."""
    return f"{_WHOLE_BEGIN}{dump_yaml(config)}{_WHOLE_END}"


def dump_yaml(config: Config) -> str:
    """The resolved configuration as YAML; `load_config` reads it back as an equal configuration."""
    return OmegaConf.to_yaml(OmegaConf.create(config.model_dump(mode="json")))
