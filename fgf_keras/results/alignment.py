"""Alignment of a cohort: means with intervals, and the number of patients left out of them."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fgf_keras.flow.status import FlowStatus
from fgf_keras.nulls.chance import defined as defined_for
from fgf_keras.nulls.magnitude import magnitude_chance
from fgf_keras.results.bootstrap import bootstrap_mean
from fgf_keras.results.columns import JOINT_MAGNITUDE, PARTIAL

if TYPE_CHECKING:
    from fgf_keras.measure.explanation import Explanation

# A path with more than this share of the tumour's pixels outside the range of the images ends on an image
# that no scanner can produce.
OUTSIDE = 0.1
_NULL_KEYS = ("null_mean", "null_q05", "null_q95", "effect", "p", "p_standard_error", "p_adjusted")


def alignment_table(
    explanation: "Explanation",
    rows: np.ndarray | None = None,
    *,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Mean, bootstrap interval and median of S, F and partial shares over patients.

    S is averaged over the patients whose gradient does not vanish, F over those whose path ended on the
    boundary, the partial share of a feature over those where the other features leave something to explain;
    the others are counted but not averaged.

    Args:
        explanation: of the cohort.
        rows: positions of the patients to summarise; by default all.
        bootstrap: number of resamples of patients.
        confidence: of the interval.
        seed: of the resamples.

    Returns:
        {"n", "status": {name: count}, "far": number of paths longer than twice the norm of the image,
        "outside": see `_outside`, "flow_error": largest estimated error of the averaged F, "undefined":
        {"S", "F"}, "S" and "F": {feature: {"mean", "ci", "median"}, "joint": {"squared", "magnitude"},
        "noise": …}, "partial": {feature: {"mean", "ci", "median", "undefined"}}, "white": {feature:
        {"expected", "below_0.05"}}, "nulls": {null: {"draws", "S", "F" and "partial": {feature, or "joint"
        and "joint_magnitude" of S and F: {"null_mean", "null_q05", "null_q95", "effect", "p",
        "p_standard_error", "p_adjusted"}}}}}, all for the mean over patients, see
        `Explanation.against_chance` and `magnitude_chance`.
    """
    frame = explanation.to_frame()
    rows = np.arange(len(frame)) if rows is None else np.asarray(rows)
    frame, status = frame.iloc[rows], explanation.status[rows]
    names = explanation.feature_names
    defined = {kind: defined_for(explanation, kind)[rows] for kind in "SF"}
    rng = np.random.default_rng(seed)
    table: dict[str, Any] = {
        "n": len(frame),
        "status": {s.name.lower(): int(np.sum(status == s)) for s in FlowStatus},
        "far": int(explanation.values["far"][rows].sum()),
        "outside": _outside(frame[defined["F"]]),
        "flow_error": _largest_error(explanation, rows[defined["F"]]),
        "undefined": {kind: int(np.sum(~defined[kind])) for kind in "SF"},
    }
    for kind in "SF":
        rows_of_kind = frame[defined[kind]]

        def summary(column: str, table: pd.DataFrame = rows_of_kind) -> dict[str, Any]:
            return _summary(table[column].to_numpy(np.float64), bootstrap, confidence, rng)

        table[kind] = {name: summary(f"{kind}_{name}") for name in names}
        table[kind]["joint"] = {
            "squared": summary(f"{kind}_joint"),
            "magnitude": summary(f"{kind}_joint_magnitude"),
        }
        if f"{kind}_noise" in frame:
            table[kind]["noise"] = summary(f"{kind}_noise")
    if PARTIAL in explanation.values:
        table[PARTIAL] = {}
        for name in names:
            values = frame[f"{PARTIAL}_{name}"].dropna().to_numpy(np.float64)
            undefined = {"undefined": len(frame) - len(values)}
            table[PARTIAL][name] = _summary(values, bootstrap, confidence, rng) | undefined
    table["white"] = _white(explanation, frame[defined["S"]], rows[defined["S"]])
    if explanation.nulls:
        table["nulls"] = _nulls(explanation.against_chance(rows))
        for null, by_kind in magnitude_chance(explanation, rows).items():
            for kind, entry in by_kind.items():
                table["nulls"][null][kind][JOINT_MAGNITUDE] = _without_nan(entry)
    return table


def _outside(frame: pd.DataFrame) -> dict[str, Any]:
    """The paths that end on images outside the range of the others, among the patients who have F.

    {"n": number of paths with more than the share "threshold" of the tumour's pixels outside, "of": number
    of paths of which that is known, "largest_excess": the largest distance from the range, in units of its
    width, "F_joint_inside": mean of F_joint over the other paths}. None where "of", or the number of the
    others, is 0.
    """
    frame = frame[frame["outside"].notna()]
    far = frame["outside"] > OUTSIDE
    inside = frame.loc[~far, "F_joint"]
    return {
        "n": int(far.sum()),
        "of": len(frame),
        "threshold": OUTSIDE,
        "largest_excess": float(frame["outside_excess"].max()) if len(frame) else None,
        "F_joint_inside": float(inside.mean()) if len(inside) else None,
    }


def _largest_error(explanation: "Explanation", rows: np.ndarray) -> float | None:
    errors = explanation.values[f"F_error_{explanation.settings['weight']}"][rows]
    return float(np.nanmax(errors)) if np.isfinite(errors).any() else None


def _summary(
    values: np.ndarray, bootstrap: int, confidence: float, rng: np.random.Generator
) -> dict[str, Any]:
    summary = bootstrap_mean(values, bootstrap=bootstrap, confidence=confidence, rng=rng)
    return summary | {"median": float(np.median(values)) if len(values) else None}


def _nulls(chance: pd.DataFrame) -> dict[str, Any]:
    """`against_chance` as a tree, with None for undefined values."""
    tree: dict[str, Any] = {}
    for row in chance.to_dict(orient="records"):
        null = tree.setdefault(row["null"], {"draws": row["draws"], "S": {}, "F": {}})
        by_feature = null.setdefault(row["quantity"], {})
        by_feature[row["feature"]] = _without_nan({key: row[key] for key in _NULL_KEYS})
    return tree


def _without_nan(entry: dict[str, float]) -> dict[str, float | None]:
    return {key: None if np.isnan(value) else value for key, value in entry.items()}


def _white(explanation: "Explanation", frame: pd.DataFrame, rows: np.ndarray) -> dict[str, Any]:
    """The expected mean S of white noise, and the share of patients whose p-value is below 0.05."""
    dimension = explanation.values["dimension"][rows]
    ranks = dict.fromkeys(explanation.feature_names, explanation.values["section_rank"][rows])
    if explanation.classes == 2:
        ranks["joint"] = explanation.values["rank"][rows]
    return {
        name: {
            "expected": float(np.mean(np.minimum(rank / dimension, 1))) if len(rows) else None,
            "below_0.05": float((frame[f"p_white_{name}"] < 0.05).mean()) if len(rows) else None,
        }
        for name, rank in ranks.items()
    }
