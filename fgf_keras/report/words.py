"""Phrases that several sections of a report share."""

from collections.abc import Iterable

NOT_CLINICAL = "Not for clinical use."

TRUST = (
    "Chance by random fields is a weak opponent for brightness, for the joint share and for F: networks that "
    "have learned nothing exceed it too. See “How to read the nulls”."
)


def percent(value: float) -> str:
    """A share in percent, with two significant digits below 1 %."""
    return f"{100 * value:.0f}\u00a0%" if value >= 0.0095 else f"{100 * value:.2g}\u00a0%"


def in_words(names: Iterable[str]) -> str:
    """Names as part of a sentence: "brightness, extent and log aspect ratio"."""
    *first, last = [name.replace("_", " ") for name in names]
    return f"{', '.join(first)} and {last}" if first else last


def of_network(split: str) -> str:
    """The patients of a part, in words."""
    return "patients of another cohort" if split == "external" else f"{split} patients"
