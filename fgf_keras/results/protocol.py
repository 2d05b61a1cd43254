"""Arms over repeated splits: means, spreads, paired differences from the first arm, and verdicts."""

from typing import Any

import numpy as np
import pandas as pd

from fgf_keras.results.columns import bar_of, metric_title, share_of
from fgf_keras.results.metrics import Key, RunMetrics
from fgf_keras.results.resampled import DIFFERENCES, possible_values, resampled_mean, verdict


def trial_table(metrics_by_trial: dict[Key, RunMetrics | None], part: str) -> pd.DataFrame:
    """One row per trial: repeat, arm, n_train, n_test, and every metric of a part.

    The metrics have the names of `metrics.metrics_table`; `left_out.<metric>` is the number of patients that
    a metric leaves out.

    Args:
        metrics_by_trial: metrics by (name of the split, name of the arm); None for a failed trial, whose row
            is empty.
        part: which part of the patients: "test", "validation", ….
    """
    rows: list[dict[str, Any]] = []
    for (repeat, arm), metrics in metrics_by_trial.items():
        if metrics is None:
            rows.append({"repeat": repeat, "arm": arm})
            continue
        part_metrics = metrics.parts[part]
        row = {"repeat": repeat, "arm": arm, "n_train": metrics.n_train, "n_test": part_metrics.n}
        row |= part_metrics.means
        undefined = part_metrics.table["undefined"]
        row |= {f"left_out.{name}": int(count) for name, count in undefined.items() if share_of(name)}
        rows.append(row)
    return pd.DataFrame(rows)


def averaging(trials: pd.DataFrame, confidence: float) -> dict[str, Any]:
    """The arguments of `resampled_mean` besides the values, for a `trial_table`."""
    sizes = {name: trials[name].mean() for name in ("n_train", "n_test")}
    return sizes | {"confidence": confidence}


def metric_names(trials: pd.DataFrame) -> list[str]:
    """The names of the metrics in a `trial_table`, in order."""
    others = ("repeat", "arm", "n_train", "n_test")
    return [name for name in trials.columns if name not in others and not name.startswith("left_out.")]


def protocol_table(trials: pd.DataFrame, *, confidence: float) -> pd.DataFrame:
    """One row per arm and metric, from a `trial_table`.

    Columns: arm, figure (the metric), mean and sd over splits, low and high (corrected interval of the mean),
    splits, left_out (patients without the metric, summed over splits), and for all arms except the first:
    difference (mean of the paired differences from the first arm), difference_low, difference_high, p, pairs,
    verdict.
    """
    arms = list(dict.fromkeys(trials["arm"]))
    over_splits = averaging(trials, confidence)
    by_arm = {arm: trials[trials["arm"] == arm].set_index("repeat") for arm in arms}
    reference = by_arm[arms[0]]
    rows = []
    for arm in arms:
        for metric in metric_names(trials):
            values = by_arm[arm][metric]
            mean = resampled_mean(values, within=possible_values(metric), **over_splits)
            row = {"arm": arm, "figure": metric, "mean": mean.mean, "sd": values.std(ddof=1)}
            row |= {"low": mean.low, "high": mean.high, "splits": mean.splits}
            row["left_out"] = int(by_arm[arm].get(f"left_out.{metric}", pd.Series([0])).sum())
            # Bars do not depend on the arm, and differences from them differ between arms as the metrics do.
            if arm != arms[0] and not bar_of(metric):
                # Aligned by the index, which is the split: differences are within splits.
                difference = resampled_mean(values - reference[metric], within=DIFFERENCES, **over_splits)
                row |= {"difference": difference.mean, "difference_low": difference.low}
                row |= {"difference_high": difference.high, "p": difference.p, "pairs": difference.splits}
                title = metric_title(metric)
                row["verdict"] = verdict(title, arm, arms[0], difference, confidence=confidence)
            rows.append(row)
    return pd.DataFrame(rows)


def as_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON-compatible dictionaries; missing and undefined values are None."""
    records = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    return [{key: v.item() if isinstance(v, np.generic) else v for key, v in row.items()} for row in records]
