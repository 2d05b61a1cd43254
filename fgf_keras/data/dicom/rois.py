"""Which regions are meant: by name or pattern, and what to do where several are."""

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
    """Choose regions by name, without regard to case, to blanks around it and to how accents are composed.

    - `error`: exactly one region must fit.
    - `union`: all that fit; every one of `names` must be there, else the union would lack a part.
    - `first`: the first of `names` that is there, else the first in file order that fits the pattern.
    - `largest`: the one for which `size` is largest; of equals the first in file order.

    Args:
        candidates: number to name in file order, e.g. `StructureSet.names` or segment labels.
        names: exact names.
        pattern: a regular expression that must fit the whole name. Give names or a pattern, not both.
        strategy: one of the four.
        size: number to size, e.g. voxels in the mask; needed for `largest` only.

    Returns:
        The numbers chosen, in file order.

    Raises:
        DicomError: `bad_rule`, `no_roi` where nothing fits, `missing_roi` where a part of a union is
            not there, `ambiguous_roi`. The message lists the candidates.
    """
    _check_rule(names, pattern, strategy, size)
    fits = _by_name(candidates, names) if names else _by_pattern(candidates, pattern)
    chosen = [number for number in candidates if any(number in numbers for numbers in fits.values())]
    if not chosen:
        raise DicomError(
            "no_roi",
            f"No region fits {_wanted(names, pattern)}. There are: {_list(candidates)}.",
            "Adapt data.roi.",
        )
    if strategy == "union":
        absent = [wanted for wanted, numbers in fits.items() if not numbers]
        if absent:
            raise DicomError(
                "missing_roi",
                f"The union lacks {', '.join(map(repr, absent))}. There are: {_list(candidates)}.",
                "Adapt the names, or use a pattern if some of them need not be there.",
            )
        return tuple(chosen)
    if strategy == "first":
        numbers = next(numbers for numbers in fits.values() if numbers)
        return (next(number for number in candidates if number in numbers),)
    if strategy == "largest":
        return (max(chosen, key=size),)
    if len(chosen) > 1:
        listed = _list({number: candidates[number] for number in chosen})
        raise DicomError(
            "ambiguous_roi",
            f"{len(chosen)} regions fit {_wanted(names, pattern)}: {listed}.",
            "Name one, or choose a strategy: union, first or largest.",
        )
    return tuple(chosen)


def _check_rule(names, pattern, strategy, size):
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


def _by_name(candidates, names):
    return {
        wanted: {n for n, name in candidates.items() if comparable(name) == comparable(wanted)}
        for wanted in names
    }


def _by_pattern(candidates, pattern):
    try:
        compiled = compiled_pattern(pattern)
    except re.error as error:
        raise DicomError(
            "bad_rule", f"{pattern!r} is no regular expression: {error}.", "Correct it."
        ) from None
    return {pattern: {n for n, name in candidates.items() if compiled.fullmatch(composed(name))}}


def compiled_pattern(pattern: str) -> re.Pattern:
    """A pattern that a whole `composed` name must fit; raises `re.error` where it is none."""
    return re.compile(unicodedata.normalize("NFC", pattern), re.IGNORECASE)


def composed(name: str) -> str:
    """A name without blanks around it, its accents composed (Unicode NFC): macOS writes them apart."""
    return unicodedata.normalize("NFC", name.strip())


def comparable(name: str) -> str:
    """Equal for names that count as the same."""
    return unicodedata.normalize("NFC", composed(name).casefold())


def _wanted(names, pattern):
    return " or ".join(map(repr, names)) if names else f"the pattern {pattern!r}"


def _list(candidates):
    return ", ".join(f"{number} {name!r}" for number, name in candidates.items()) or "none with contours"
