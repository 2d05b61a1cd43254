"""Alignment compared with that of null features: p-values, effects, and their Monte Carlo errors."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from fgf_keras.flow.status import has_flow

if TYPE_CHECKING:
    from fgf_keras.measure.explanation import Explanation

# A draw counts as equal to the measured share if it is smaller by less than this: both are rounded.
ROUNDING = 1e-6


def p_value(measured: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(1 + #{draws ≥ measured})/(1 + n), over axis 1 of draws (N, n); NaN where `measured` (N,) is NaN."""
    measured = np.asarray(measured, np.float64)
    reached = np.sum(draws >= measured[:, np.newaxis] - ROUNDING, axis=1)
    return np.where(np.isnan(measured), np.nan, (1 + reached) / (1 + draws.shape[1]))


def defined(explanation: "Explanation", kind: str) -> np.ndarray:
    """(N,) bool, whether tables average S or F of a sample: F only if the path ended on the boundary."""
    if kind == "S":
        return ~np.isnan(explanation.values["S_joint"])
    return has_flow(explanation.status, explanation.values[f"F_joint_{explanation.settings['weight']}"])


def measured_shares(explanation: "Explanation", kind: str) -> np.ndarray:
    """S or F of each feature, and the joint share in the last column, (N, m + 1)."""
    suffix = "" if kind == "S" else f"_{explanation.settings['weight']}"
    single, joint = (explanation.values[f"{key}{suffix}"] for key in (kind, f"{kind}_joint"))
    return np.concatenate([single, joint[:, np.newaxis]], axis=1).astype(np.float64)


def partial_draws(explanation: "Explanation", label: str) -> np.ndarray | None:
    """The partial shares of a null, (N, n, m), if there are measured ones to compare with them."""
    return explanation.nulls[label].partial if "partial" in explanation.values else None


def cohort_table(explanation: "Explanation", rows: np.ndarray) -> pd.DataFrame:
    """One row per null, quantity and feature: the mean over patients, compared with that of the null."""
    table = []
    for label, shares in explanation.nulls.items():
        for kind in explanation.quantities:
            patients = rows[defined(explanation, kind)[rows]]
            if len(patients):
                means = measured_shares(explanation, kind)[patients].mean(axis=0)
                draws = shares.of_cohort(kind, patients)
            else:
                means = np.full(len(explanation.feature_names) + 1, np.nan)
                draws = np.full((1, len(means)), np.nan)
            block = _against(explanation, label, kind, means[np.newaxis], draws[np.newaxis], "mean")
            table.append(block.assign(n=len(patients), undefined=len(rows) - len(patients)))
        if partial_draws(explanation, label) is not None:
            table.append(_partial_means(explanation, label, rows))
    return pd.concat(table, ignore_index=True)


def _partial_means(explanation: "Explanation", label: str, rows: np.ndarray) -> pd.DataFrame:
    """The rows of partial shares in a `cohort_table`; each feature has patients of its own without them."""
    values = explanation.values["partial"].astype(np.float64)
    means, draws, counts = [], [], []
    for i in range(values.shape[1]):
        patients = rows[~np.isnan(values[rows, i])]
        counts.append(len(patients))
        means.append(values[patients, i].mean() if len(patients) else np.nan)
        # Of all rows if none is defined: NaN, as many as there are draws.
        cohort = explanation.nulls[label].of_cohort("partial", patients if len(patients) else rows)
        draws.append(cohort[:, i])
    block = _against(explanation, label, "partial", np.array([means]), np.stack(draws, 1)[np.newaxis], "mean")
    return block.assign(n=counts, undefined=len(rows) - np.array(counts))


def patient_table(explanation: "Explanation", rows: np.ndarray) -> pd.DataFrame:
    """One row per null, quantity, patient and feature."""
    table = []
    frame = explanation.to_frame().iloc[rows]
    for label, shares in explanation.nulls.items():
        for kind in explanation.quantities:
            values = measured_shares(explanation, kind)[rows]
            block = _against(explanation, label, kind, values, getattr(shares, kind)[rows], "value")
            exact = [f"p_white_{name}" for name in (*explanation.feature_names, "joint")]
            if label == "white" and kind == "S" and set(exact) <= set(frame):
                block = _exact(block, frame[exact].to_numpy(), joint=True)
            block.insert(0, "patient_id", np.repeat(explanation.patient_id[rows], values.shape[1]))
            table.append(block)
        draws = partial_draws(explanation, label)
        if draws is not None:
            values = explanation.values["partial"][rows].astype(np.float64)
            block = _against(explanation, label, "partial", values, draws[rows], "value")
            if label == "white":
                exact = [f"p_white_partial_{name}" for name in explanation.feature_names]
                block = _exact(block, frame[exact].to_numpy(), joint=False)
            block.insert(0, "patient_id", np.repeat(explanation.patient_id[rows], values.shape[1]))
            table.append(block)
    return pd.concat(table, ignore_index=True)


def _against(
    explanation: "Explanation", label: str, kind: str, measured: np.ndarray, draws: np.ndarray, name: str
) -> pd.DataFrame:
    """Measured shares (N, m + 1) compared with draws (N, n, m + 1): N·(m + 1) rows, features innermost.

    Partial shares have no joint share, and m columns.
    """
    joint = kind != "partial"
    features = [*explanation.feature_names, *(["joint"] if joint else [])]
    comparison = compared(measured, draws)
    return pd.DataFrame(
        {
            "quantity": kind,
            "feature": np.tile(features, len(measured)),
            "null": label,
            name: measured.ravel(),
            **{key: values.ravel() for key, values in comparison.items()},
            "p_adjusted": _adjusted(comparison["p"], joint=joint).ravel(),
            "draws": draws.shape[1],
        }
    )


def compared(measured: np.ndarray, draws: np.ndarray) -> dict[str, np.ndarray]:
    """Measured values (N, c) compared with draws (N, n, c), (N, c) each.

    null_mean, null_q05, null_q95, effect (the difference from the mean), p, p_standard_error.
    """
    p = np.stack([p_value(column, draws[..., i]) for i, column in enumerate(measured.T)], axis=1)
    null_mean = draws.mean(axis=1)
    low, high = np.quantile(draws, [0.05, 0.95], axis=1)
    error = np.sqrt(p * (1 - p) / (1 + draws.shape[1]))
    values = (null_mean, low, high, measured - null_mean, p, error)
    return dict(zip(("null_mean", "null_q05", "null_q95", "effect", "p", "p_standard_error"), values))


def _exact(block: pd.DataFrame, p: np.ndarray, *, joint: bool) -> pd.DataFrame:
    """A block of `_against` with p-values (N, m + 1, or m without joint shares) that no draws went into."""
    adjusted = _adjusted(p, joint=joint)
    return block.assign(p=p.ravel(), p_standard_error=p.ravel() * 0, p_adjusted=adjusted.ravel())


def _adjusted(p: np.ndarray, *, joint: bool) -> np.ndarray:
    """Benjamini-Hochberg over the features of each row that have a p-value.

    Args:
        p: (N, m), or (N, m + 1) with joint shares in the last column, which are tests by themselves.
        joint: whether there is that column.
    """
    adjusted = p.copy()
    for values, row in zip(adjusted[:, :-1] if joint else adjusted, p):
        of_features = row[: len(values)]
        known = ~np.isnan(of_features)
        if known.any():
            values[known] = stats.false_discovery_control(of_features[known])
    return adjusted
