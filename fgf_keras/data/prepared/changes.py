"""Comparison of the settings of a preparation with those of an earlier one."""

import json
from typing import Any


def changed_settings(before: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, as (before, now), by their path, e.g. `roi.pattern`."""
    # Through JSON, which turns tuples into lists.
    before, now = _flat(before), _flat(json.loads(json.dumps(now)))
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return {key: (before.get(key), now.get(key)) for key in keys}


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
