"""The joint share as a magnitude (√S) compared with that of null features."""

from typing import TYPE_CHECKING

import numpy as np

from fgf_keras.nulls.chance import compared, defined

if TYPE_CHECKING:
    from fgf_keras.measure.explanation import Explanation


def magnitude_chance(explanation: "Explanation", rows: np.ndarray) -> dict[str, dict[str, dict[str, float]]]:
    """The mean magnitude over patients compared with the means of the draws, by null and "S" or "F".

    For S, exact: the mean of √S of each draw. For F, only the mean share of the draws along the path is
    known, whose root is at least the mean of the roots (Jensen): the null is a little too large, and p too
    cautious.

    Args:
        explanation: with nulls.
        rows: positions of the patients.

    Returns:
        For each null and quantity null_mean, null_q05, null_q95, effect, p and p_standard_error, as
        `Explanation.against_chance` has them; NaN where no patient has the quantity.
    """
    v = explanation.values
    magnitude = {"S": np.sqrt(v["S_joint"])}
    if "F" in explanation.quantities:
        magnitude["F"] = v[f"F_joint_magnitude_{explanation.settings['weight']}"]
    content: dict[str, dict[str, dict[str, float]]] = {}
    for label, shares in explanation.nulls.items():
        content[label] = {}
        for kind, measured in magnitude.items():
            patients = rows[defined(explanation, kind)[rows]]
            mean, draws = np.full((1, 1), np.nan), np.full((1, 1, 1), np.nan)
            if len(patients):
                mean = measured[patients].mean(keepdims=True, dtype=np.float64)[np.newaxis]
                draws = shares.magnitude_of_cohort(kind, patients)[np.newaxis, :, np.newaxis]
            entry = {key: float(values[0, 0]) for key, values in compared(mean, draws).items()}
            content[label][kind] = entry | {"p_adjusted": entry["p"]}
    return content
