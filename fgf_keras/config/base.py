"""The base class of all groups of the configuration, common types of values, and shared checks."""

import math
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


def no_duplicates(what: str, names: Sequence[str]) -> None:
    """Refuse a list that contains a name twice."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{what}: each name once, but {', '.join(repeated)} is there more than once")


def check_draws(draws: int, alpha: float, tests: int) -> None:
    """Refuse a number of draws that is too small for any p-value to be significant.

    Raises:
        ValueError: with Benjamini-Hochberg over `tests` features, the smallest p-value 1/(1 + draws) is
            above alpha/tests, so that nothing can be significant at level alpha.
    """
    minimum = math.ceil(tests / alpha - 1e-9) - 1
    if draws < minimum:
        raise ValueError(
            f"{draws} draws of a null are too few for alpha={alpha} and {tests} feature(s): the smallest "
            f"p-value, 1/(1 + {draws}) = {1 / (1 + draws):.4f}, is above alpha/{tests} = "
            f"{alpha / tests:.4f}. At least {minimum} draws are needed"
        )


def _path_safe(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError("must be letters, digits, '.', '_' or '-', because it names a folder")
    return name


Name = Annotated[str, AfterValidator(_path_safe)]


class Group(BaseModel):
    """Base of all groups: strict types, no unknown keys, no mutation."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, validate_default=True, allow_inf_nan=False
    )
