"""Seeds that are derived from one seed."""

import numpy as np


def derived_seed(seed: int, number: int) -> int:
    """A seed below 2³¹, unrelated to those of other numbers and of other seeds."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)
