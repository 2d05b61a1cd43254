"""Which settings of a preparation differ from those it was made with."""

import json


def changed_settings(before: dict, now: dict) -> dict[str, tuple]:
    """The settings that differ, as (before, now), by their path, e.g. `roi.pattern`."""
    # As JSON has them: tuples are lists there.
    before, now = _flat(before), _flat(json.loads(json.dumps(now)))
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return {key: (before.get(key), now.get(key)) for key in keys}


def _flat(settings, prefix=""):
    flat = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
