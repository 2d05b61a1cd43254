"""The joint share as a magnitude (√S) compared with that of null features."""

from typing import TYPE_CHECKING

import numpy as np

from fgf_keras.nulls.chance import defined, p_value

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
    magnitude = {"S": np.sqrt(v["S_joint"]), "F": v[f"F_joint_magnitude_{explanation.settings['weight']}"]}
    content: dict[str, dict[str, dict[str, float]]] = {}
    for label, shares in explanation.nulls.items():
        content[label] = {}
        for kind, measured in magnitude.items():
            patients = rows[defined(explanation, kind)[rows]]
            mean, draws = np.full(1, np.nan), np.full((1, 1), np.nan)
            if len(patients):
                mean = measured[patients].mean(keepdims=True, dtype=np.float64)
                draws = shares.magnitude_of_cohort(kind, patients)[np.newaxis]
            p = float(p_value(mean, draws)[0])
            low, high = np.quantile(draws[0], [0.05, 0.95])
            content[label][kind] = {
                "null_mean": float(draws.mean()),
                "null_q05": float(low),
                "null_q95": float(high),
                "effect": float(mean[0] - draws.mean()),
                "p": p,
                "p_standard_error": float(np.sqrt(p * (1 - p) / (1 + draws.shape[1]))),
                "p_adjusted": p,
            }
    return content
