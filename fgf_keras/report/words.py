"""Phrases that several sections of a report share."""

import math
from collections.abc import Iterable

NOT_CLINICAL = "Not for clinical use."

TRUST = (
    "Chance by random fields is a weak opponent for brightness, for the joint share and for F: networks that "
    "have learned nothing exceed it too. See “How to read the nulls”."
)


def percent(value: float) -> str:
    """A share in percent, with two significant digits below 1 %."""
    return f"{100 * value:.0f}\u00a0%" if value >= 0.0095 else f"{100 * value:.2g}\u00a0%"


def place_of(support: str) -> str:
    """Where gradients are compared: "in the tumour"."""
    return "in the tumour" if support == "mask" else "over the whole picture"


def p_text(p: float, draws: float = math.nan) -> str:
    """A p-value; the smallest that so many draws allow, and those that round to 0, as bounds.

    Args:
        p: the value.
        draws: number of draws it was computed from; NaN if it was not, or if that is unknown.
    """
    if math.isnan(p):
        return "p –"
    if p * (1 + draws) <= 1 + 1e-9:
        return f"p ≤ {p:.2g}"
    return f"p {p:.3f}" if p >= 0.001 else "p < 0.001"


def listed(parts: Iterable[str]) -> str:
    """Parts of a sentence: "one, two and three"."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def in_words(names: Iterable[str]) -> str:
    """Names as part of a sentence: "brightness, extent and log aspect ratio"."""
    return listed(name.replace("_", " ") for name in names)


def of_network(split: str) -> str:
    """The patients of a part, in words."""
    return "patients of another cohort" if split == "external" else f"{split} patients"
