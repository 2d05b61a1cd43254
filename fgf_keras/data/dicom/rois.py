"""Choice of regions by name or pattern, with a strategy for several matches."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from fgf_keras.data.refusal import DicomError

STRATEGIES = ("error", "union", "first", "largest")


def choose_rois(
    candidates: Mapping[int, str],
    *,
    names: Sequence[str] = (),
    pattern: str | None = None,
    strategy: str = "error",
    size: Callable[[int], float] | None = None,
) -> tuple[int, ...]:
    """Choose regions by name, ignoring case, surrounding blanks and the Unicode composition of accents.

    - `error`: exactly one region must match.
    - `union`: all regions that match; each of `names` must exist, otherwise a part would be missing.
    - `first`: the first of `names` that exists, or the first region in file order that matches the pattern.
    - `largest`: the region with the largest `size`; of equal ones the first in file order.

    Args:
        candidates: name by number in file order, e.g. `StructureSet.names` or segment labels.
        names: exact names.
        pattern: a regular expression that must match the whole name. Give names or a pattern, not both.
        strategy: one of the four.
        size: function of the number that returns a size, e.g. voxels in the mask; only for `largest`.

    Returns:
        The numbers of the chosen regions, in file order.

    Raises:
        DicomError: `bad_rule`, `no_roi` if nothing matches, `missing_roi` if a part of a union does not
            exist, `ambiguous_roi`. The message lists the candidates.
    """
    _check_rule(names, pattern, strategy, size)
    matches = _by_name(candidates, names) if names else _by_pattern(candidates, pattern or "")
    chosen = [number for number in candidates if any(number in numbers for numbers in matches.values())]
    if not chosen:
        raise DicomError(
            "no_roi",
            f"No region fits {_wanted(names, pattern)}. There are: {_list(candidates)}.",
            "Adapt data.roi.",
        )
    if strategy == "union":
        absent = [name for name, numbers in matches.items() if not numbers]
        if absent:
            raise DicomError(
                "missing_roi",
                f"The union lacks {', '.join(map(repr, absent))}. There are: {_list(candidates)}.",
                "Adapt the names, or use a pattern if some of them need not be there.",
            )
        return tuple(chosen)
    if strategy == "first":
        numbers = next(numbers for numbers in matches.values() if numbers)
        return (next(number for number in candidates if number in numbers),)
    if strategy == "largest" and size is not None:
        return (max(chosen, key=size),)
    if len(chosen) > 1:
        regions = _list({number: candidates[number] for number in chosen})
        raise DicomError(
            "ambiguous_roi",
            f"{len(chosen)} regions fit {_wanted(names, pattern)}: {regions}.",
            "Name one, or choose a strategy: union, first or largest.",
        )
    return tuple(chosen)


def _check_rule(
    names: Sequence[str], pattern: str | None, strategy: str, size: Callable[[int], float] | None
) -> None:
    if isinstance(names, str):
        raise DicomError("bad_rule", f"names must be a list. Received: {names!r}.", "Put it in brackets.")
    if bool(names) == bool(pattern):
        raise DicomError("bad_rule", "The rule needs either names or a pattern.", "Give one of the two.")
    if strategy not in STRATEGIES:
        raise DicomError(
            "bad_rule", f"Unknown strategy {strategy!r}.", f"Choose one of {', '.join(STRATEGIES)}."
        )
    if strategy == "largest" and size is None:
        raise DicomError("bad_rule", "The strategy 'largest' needs sizes.", "Pass size.")


def _by_name(candidates: Mapping[int, str], names: Sequence[str]) -> dict[str, set[int]]:
    return {
        wanted: {n for n, name in candidates.items() if comparable(name) == comparable(wanted)}
        for wanted in names
    }


def _by_pattern(candidates: Mapping[int, str], pattern: str) -> dict[str, set[int]]:
    try:
        compiled = compiled_pattern(pattern)
    except re.error as error:
        raise DicomError(
            "bad_rule", f"{pattern!r} is no regular expression: {error}.", "Correct it."
        ) from None
    return {pattern: {n for n, name in candidates.items() if compiled.fullmatch(composed(name))}}


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """A compiled pattern to match a whole `composed` name; raises `re.error` if it is invalid."""
    return re.compile(unicodedata.normalize("NFC", pattern), re.IGNORECASE)


def composed(name: str) -> str:
    """A name without surrounding blanks, with composed accents (Unicode NFC); macOS decomposes them."""
    return unicodedata.normalize("NFC", name.strip())


def comparable(name: str) -> str:
    """A form of a name that is equal for names that count as the same."""
    return unicodedata.normalize("NFC", composed(name).casefold())


def _wanted(names: Sequence[str], pattern: str | None) -> str:
    return " or ".join(map(repr, names)) if names else f"the pattern {pattern!r}"


def _list(candidates: Mapping[int, str]) -> str:
    return ", ".join(f"{number} {name!r}" for number, name in candidates.items()) or "none with contours"
