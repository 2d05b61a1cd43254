"""Seeds derived from another seed."""

import numpy as np


def derived_seed(seed: int, number: int) -> int:
    """A seed below 2³¹, statistically independent of those for other numbers or other seeds."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)
