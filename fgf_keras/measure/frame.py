"""The table of an explanation: columns of what was measured, one row per sample or per sample and class."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fgf_keras.flow.status import FlowStatus, has_flow
from fgf_keras.nulls.chance import measured_shares, p_value, partial_draws
from fgf_keras.nulls.white import white_p_value

if TYPE_CHECKING:
    from fgf_keras.measure.explanation import Explanation


def sample_frame(explanation: "Explanation") -> pd.DataFrame:
    """One row per sample, see `Explanation.to_frame`."""
    v, settings, names = explanation.values, explanation.settings, explanation.feature_names
    follows_paths = "F" in explanation.quantities
    columns: dict[str, Any] = {key: v[key] for key in ("logit", "class", "gradient_norm") if key in v}
    columns |= {f"S_{name}": v["S"][:, i] for i, name in enumerate(names)}
    columns |= {"S_joint": v["S_joint"], "S_joint_magnitude": np.sqrt(v["S_joint"])}
    if follows_paths:
        columns |= _flow_alignment(explanation)
    if "S_noise" in v:
        columns["S_noise"] = v["S_noise"]
        if follows_paths:
            columns["F_noise"] = v[f"F_noise_{settings['weight']}"]
    columns |= _by_feature(explanation, "unique", "shapley", "partial")
    columns |= _by_feature(explanation, "value", "slope", "slope_alone", "effect")
    if follows_paths:
        columns |= _contributions(explanation)
    columns |= _drawn_p_values(explanation) | _white_p_values(explanation)
    if follows_paths:
        columns |= _path(explanation)
    return pd.DataFrame(columns, index=pd.Index(explanation.patient_id, name="patient_id"))


def class_frame(explanation: "Explanation") -> pd.DataFrame:
    """One row per sample and class, for K > 2, see `Explanation.to_frame`."""
    v, classes, names = explanation.values, explanation.classes, explanation.feature_names
    if classes < 3:
        raise ValueError(f"per_class needs a classifier of three classes or more. Got {classes}.")
    number = v["classes"] if "classes" in v else np.tile(np.arange(classes), (len(explanation), 1))
    logits = np.take_along_axis(v["logits"], number, axis=1)
    centred = logits - logits.mean(axis=1, keepdims=True)
    patients = np.repeat(explanation.patient_id, number.shape[1])
    index = pd.MultiIndex.from_arrays([patients, number.ravel()], names=["patient_id", "class"])
    columns = {"centred_logit": centred.ravel()}
    columns |= {f"S_{name}": v["S_class"][:, :, i].ravel() for i, name in enumerate(names)}
    columns["S_joint"] = v["S_joint_class"].ravel()
    for key in ("slope", "slope_alone", "effect"):
        if f"{key}_class" in v:
            by_class = v[f"{key}_class"]
            columns |= {f"{key}_{name}": by_class[:, :, i].ravel() for i, name in enumerate(names)}
    return pd.DataFrame(columns, index=index)


def _by_feature(explanation: "Explanation", *keys: str) -> dict[str, np.ndarray]:
    """The columns of arrays (N, m), of those that were measured."""
    return {
        f"{key}_{name}": explanation.values[key][:, i]
        for key in keys
        if key in explanation.values
        for i, name in enumerate(explanation.feature_names)
    }


def _flow_alignment(explanation: "Explanation") -> dict[str, np.ndarray]:
    v, weight = explanation.values, explanation.settings["weight"]
    columns = {f"F_{name}": v[f"F_{weight}"][:, i] for i, name in enumerate(explanation.feature_names)}
    return columns | {key: v[f"{key}_{weight}"] for key in ("F_joint", "F_joint_magnitude")}


def _contributions(explanation: "Explanation") -> dict[str, np.ndarray]:
    """Changes of the features along the path, and their contributions to the score, by column."""
    v = explanation.values
    columns = _by_feature(explanation, "change", "contribution", "contribution_shapley")
    columns["unexplained"] = v["unexplained"]
    has_path = has_flow(explanation.status, v["F_joint_score"])
    return {key: np.where(has_path, values, np.nan) for key, values in columns.items()}


def _path(explanation: "Explanation") -> dict[str, Any]:
    """How each path was followed, and where it ended, by column."""
    v = explanation.values
    errors = v[f"F_error_{explanation.settings['weight']}"]
    names = [*explanation.feature_names, "joint"]
    columns: dict[str, Any] = {f"flow_error_{name}": errors[:, i] for i, name in enumerate(names)}
    columns |= {"flow_residual": v["residual"], "flow_length": v["length"], "flow_far": v["far"]}
    has_path = has_flow(explanation.status, v["F_joint_score"])
    for key in ("outside", "outside_excess"):
        if key in v:
            columns[key] = np.where(has_path, v[key], np.nan)
    return columns | {"status": [FlowStatus.of(s).name.lower() for s in explanation.status]}


def _drawn_p_values(explanation: "Explanation") -> dict[str, np.ndarray]:
    columns = {}
    for label, shares in explanation.nulls.items():
        for kind in explanation.quantities:
            measured, infix = measured_shares(explanation, kind), "F_" if kind == "F" else ""
            for i, name in enumerate([*explanation.feature_names, "joint"]):
                draws = getattr(shares, kind)[..., i]
                columns[f"p_{label}_{infix}{name}"] = p_value(measured[:, i], draws)
        partial = partial_draws(explanation, label)
        if partial is not None:
            for i, name in enumerate(explanation.feature_names):
                p = p_value(explanation.values["partial"][:, i], partial[..., i])
                columns[f"p_{label}_partial_{name}"] = p
    return columns


def _white_p_values(explanation: "Explanation") -> dict[str, np.ndarray]:
    v, names, columns = explanation.values, explanation.feature_names, {}
    for i, name in enumerate(names):
        columns[f"p_white_{name}"] = white_p_value(v["S"][:, i], v["dimension"], v["section_rank"])
    if explanation.classes == 2:
        columns["p_white_joint"] = white_p_value(v["S_joint"], v["dimension"], np.maximum(v["rank"], 1))
    if "partial" in v:
        rest = v["dimension"][:, np.newaxis] - v["rank_others"]
        p = white_p_value(v["partial"], rest, v["rank_without_others"])
        columns |= {f"p_white_partial_{name}": p[:, i] for i, name in enumerate(names)}
    return columns
