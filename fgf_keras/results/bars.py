"""Bars that a network has to clear: logistic regressions on numbers that need no network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fgf_keras.errors import DataError
from fgf_keras.results.bootstrap import percentiles
from fgf_keras.results.classification import resampled_metrics
from fgf_keras.results.columns import BAR_METRICS
from fgf_keras.results.regression import fitted_regression

# Groups of columns that form a bar together, by its name.
TOGETHER = {"features_and_clinical": ("features", "clinical")}
# A column that varies less than this, relative to its size, is constant up to rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Bars:
    """Fitted bars, each a class-weighted logistic regression on standardised columns.

    A patient is called positive above probability 0.5 of the class-weighted loss, the logit 0.

    Attributes:
        content: as in metrics.json: {"n", "n_positive" of the fitted patients, "models": {bar: {"columns":
            {column: {"mean", "sd", "coefficient" (logits per sd)}}, "intercept", "C", "left_out": {column:
            reason}}, or {"reason"} where there is no such bar}}.
    """

    content: dict[str, Any]

    @classmethod
    def fitted(cls, groups: Mapping[str, pd.DataFrame], labels: np.ndarray, *, seed: int) -> "Bars":
        """Fit one bar for each group of columns, and for those of `TOGETHER`.

        See `fitted_regression`. A column that is constant or undefined for all patients is left out.

        Args:
            groups: columns by the name of the group, one row per patient.
            labels: (N,) of the same patients.
            seed: of the folds.
        """
        labels = np.asarray(labels)
        inputs = dict(groups)
        for name, members in TOGETHER.items():
            if all(member in groups for member in members):
                inputs[name] = pd.concat([groups[member] for member in members], axis=1)
        classes = np.unique(labels)
        models: dict[str, Any] = {}
        for name, table in inputs.items():
            if not np.array_equal(classes, [0, 1]):
                reason = f"a bar needs patients of the two classes 0 and 1, and there are {classes.tolist()}"
                models[name] = {"reason": reason}
            else:
                models[name] = _fitted(table, labels, seed)
        return cls({"n": len(labels), "n_positive": int((labels == 1).sum()), "models": models})

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """The bars that could be fitted."""
        return {name: model for name, model in self.content["models"].items() if "reason" not in model}

    def logits(self, columns: pd.DataFrame) -> pd.DataFrame:
        """The logits of each bar, one row per patient; a bar without its columns is left out.

        Args:
            columns: those of all groups, one row per patient.
        """
        logits = {}
        for name, model in self.models.items():
            if set(model["columns"]) <= set(columns):
                score = np.full(len(columns), model["intercept"])
                for column, entry in model["columns"].items():
                    standardised = (columns[column].to_numpy(np.float64) - entry["mean"]) / entry["sd"]
                    score += entry["coefficient"] * np.where(np.isfinite(standardised), standardised, 0.0)
                logits[name] = score
        return pd.DataFrame(logits, index=columns.index)

    def undefined(self, columns: pd.DataFrame) -> dict[str, int]:
        """The number of patients for whom a bar takes the mean of a column in place of an undefined value."""
        finite = np.isfinite(columns.astype(np.float64))
        return {
            name: int((~finite[list(model["columns"])].all(axis=1)).sum())
            for name, model in self.models.items()
            if set(model["columns"]) <= set(columns)
        }


def bar_metrics(
    labels: np.ndarray,
    logits: np.ndarray,
    threshold: float,
    bar_logits: np.ndarray,
    *,
    bootstrap: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """AUC and balanced accuracy of a bar, and what the network has more, paired by patient.

    Intervals are percentiles over patients resampled within each class, the same ones for network and bar.

    Args:
        labels: (N,) in {0, 1}.
        logits: (N,) of the network; positive above `threshold`.
        threshold: of the network's decision.
        bar_logits: (N,) of the bar; positive above 0.
        bootstrap, confidence, seed: of the intervals.

    Returns:
        {"auc", "balanced_accuracy", "auc_difference", "balanced_accuracy_difference" (network minus bar):
        {"value", "ci": [low, high]}}.
    """
    scores = {"network": (logits, threshold), "bar": (bar_logits, 0.0)}
    values, resampled = {}, {}
    for name, (score, limit) in scores.items():
        values[name] = {
            "auc": float(roc_auc_score(labels, score)),
            "balanced_accuracy": float(balanced_accuracy_score(labels, score > limit)),
        }
        drawn = resampled_metrics(score[labels == 1], score[labels == 0], limit, bootstrap, seed)
        resampled[name] = {metric: np.asarray(drawn[metric]) for metric in BAR_METRICS}
    content: dict[str, Any] = {}
    for metric in BAR_METRICS:
        of_bar = resampled["bar"][metric]
        difference = resampled["network"][metric] - of_bar
        content[metric] = {"value": values["bar"][metric], "ci": percentiles(of_bar, confidence)}
        content[f"{metric}_difference"] = {
            "value": values["network"][metric] - values["bar"][metric],
            "ci": percentiles(difference, confidence),
        }
    return content


def _fitted(table: pd.DataFrame, labels: np.ndarray, seed: int) -> dict[str, Any]:
    values = table.to_numpy(np.float64)
    left_out: dict[str, str] = {}
    for column, of_column in zip(table.columns, values.T):
        finite = of_column[np.isfinite(of_column)]
        if not len(finite):
            left_out[str(column)] = "undefined for every patient"
        elif np.ptp(finite) <= _ROUNDING * np.abs(finite).max():
            left_out[str(column)] = f"{finite[0]:g} for every patient"
    names = [str(column) for column in table.columns if str(column) not in left_out]
    if not names:
        reasons = "; ".join(f"{column} is {reason}" for column, reason in left_out.items())
        return {"reason": f"no column tells patients apart: {reasons}"}
    values = table[names].to_numpy(np.float64)
    model = fitted_regression(values, labels, seed=seed)
    columns = {
        name: {"mean": float(m), "sd": float(s), "coefficient": float(c)}
        for name, m, s, c in zip(names, model.mean, model.sd, model.coefficients[:, 0])
    }
    return {
        "columns": columns,
        "intercept": float(model.intercept[0]),
        "C": model.strength,
        "left_out": left_out,
    }


def combined(groups: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The columns of all groups side by side.

    Raises:
        DataError: two groups have a column of the same name.
    """
    table = pd.concat(list(groups.values()), axis=1)
    repeated = table.columns[table.columns.duplicated()].tolist()
    if repeated:
        raise DataError(f"Columns of bars must have different names. More than once: {', '.join(repeated)}.")
    return table
