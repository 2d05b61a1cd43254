"""The settings of the nulls that S and F are compared with, as one value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgf_keras.config.base import check_draws
from fgf_keras.config.faults import require
from fgf_keras.config.named import NULLS, unknown
from fgf_keras.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Nulls:
    """Random features to compare with; docs/method.md describes the kinds and which of them can be trusted.

    They are drawn inside the masks, except white noise, which is drawn over the whole support.

    Args:
        kinds: one or several of "white", "smooth", "matched", "permutation" and `module:Name` of subclasses
            of `fgf_keras.nulls.null.Null`.
        draws: number of draws per null and patient.
        lengths: correlation lengths σ of the smooth fields, px; one or several, each a null of its own.
        seed: of all draws.

    Raises:
        ConfigError: a value out of range, or a kind or length named twice.
    """

    kinds: str | Sequence[str] = ()
    draws: int = 200
    lengths: float | Sequence[float] = (3.0,)
    seed: int = 0

    def __post_init__(self) -> None:
        kinds = (self.kinds,) if isinstance(self.kinds, str) else tuple(self.kinds)
        lengths = tuple(np.atleast_1d(self.lengths).astype(float).tolist())
        # The dataclass is frozen for everybody else.
        object.__setattr__(self, "kinds", kinds)
        object.__setattr__(self, "lengths", lengths)
        others = [kind for kind in kinds if kind not in NULLS and ":" not in kind]
        if others:
            raise ConfigError(f"Nulls: kinds: {unknown(NULLS, others[0])}. Received: {self.kinds!r}.")
        names = [_label(kind) for kind in kinds]
        rules = {
            "kinds must name each null once": (self.kinds, len(set(names)) == len(names)),
            "draws must be at least 1": (self.draws, self.draws >= 1),
            "lengths must be > 0, in px": (
                self.lengths,
                len(lengths) > 0 and all(0 < length < math.inf for length in lengths),
            ),
            "lengths must name each length once": (
                self.lengths,
                len(set(lengths)) == len(lengths),
            ),
        }
        require(rules, "Nulls: ")

    @classmethod
    def of(cls, nulls: "Nulls | str | Sequence[str]") -> "Nulls":
        """The argument if it is a `Nulls`; otherwise nulls of one or several kinds with default settings."""
        return nulls if isinstance(nulls, Nulls) else cls(kinds=nulls)

    def refuse_too_few(self, alpha: float, tests: int) -> None:
        """Refuse a number of draws with which nothing can be significant at level alpha, see `check_draws`.

        Args:
            alpha: significance level.
            tests: number of features.

        Raises:
            ConfigError: too few draws; none are needed where there are no nulls.
        """
        try:
            if self.kinds:
                check_draws(self.draws, alpha, tests)
        except ValueError as error:
            raise ConfigError(f"Nulls: draws: {error}.") from error

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as an explanation lists them; none where there are no nulls."""
        if not self.kinds:
            return {}
        return {
            "null": list(self.kinds),
            "n_null": self.draws,
            "correlation_length": np.atleast_1d(self.lengths).tolist(),
            "seed": self.seed,
        }

    @property
    def labels(self) -> dict[str, tuple[str, float | None]]:
        """(kind, correlation length) by the name of the null in tables."""
        labels: dict[str, tuple[str, float | None]] = {}
        lengths = np.atleast_1d(self.lengths).tolist()
        for kind in self.kinds:
            if kind == "smooth":
                for length in lengths:
                    labels[f"smooth_{length:g}px" if len(lengths) > 1 else "smooth"] = (kind, length)
            else:
                labels[_label(kind)] = (kind, None)
        return labels


def _label(kind: str) -> str:
    return kind.rpartition(":")[2]
