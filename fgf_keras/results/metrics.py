"""The metrics of a run as one tidy table, with one row per part of the patients and metric."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fgf_keras.results.columns import (
    BAR_METRICS,
    CLASSIFICATION,
    JOINT,
    JOINT_MAGNITUDE,
    PARTIAL,
    QUANTITIES,
    bar_column,
    bar_of,
    share_column,
)
from fgf_keras.results.effects import effects_table
from fgf_keras.results.groups import WORST
from fgf_keras.results.interval import Interval, or_nan
from fgf_keras.results.population import PopulationShare

# Identifies a trial: (name of the split, name of the arm).
Key = tuple[str, str]
# Keys of a null in metrics.json, and the suffix of the column each becomes, as in `smooth.q95`.
_OF_NULL = {
    "null_mean": "mean",
    "null_q05": "q05",
    "null_q95": "q95",
    "effect": "effect",
    "p": "p",
    "p_standard_error": "p_standard_error",
    "p_adjusted": "p_adjusted",
}


def metrics_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """The content of metrics.json as a tidy table.

    The index is (part, metric); metrics have the names of their columns in CSV files, `auc` or
    `mask.S_brightness`. Columns: support, quantity ("S", "F", "partial" or the metric itself), feature
    ("joint" for the squared joint share, "joint_magnitude" for its root); mean, low, high (interval), median;
    undefined, the number of patients left out; expected, the mean S of white noise; and for each null
    <null>.mean, .q05, .q95 (of the mean over patients under that null), .effect, .p, .p_standard_error,
    .p_adjusted and .draws. Rows of bars have the names of `columns.bar_column`, the quantities "bar_auc",
    "over_bar_auc", …, and the bar as their feature; undefined is the number of patients for whom the bar
    lacks a value.
    Undefined values are NaN.

    Args:
        metrics: content of metrics.json.
    """
    rows = []
    for part, content in metrics["splits"].items():
        for name in CLASSIFICATION:
            interval = Interval.of(content[name]["value"], content[name]["ci"])
            rows.append({"part": part, "metric": name, "support": "", "quantity": name, "feature": ""})
            rows[-1] |= interval._asdict() | {"undefined": 0}
        if worst := content.get("groups", {}).get("worst"):
            rows.append({"part": part, "metric": WORST, "support": "", "quantity": WORST, "feature": ""})
            rows[-1] |= Interval.of(worst["value"], worst["ci"])._asdict() | {"undefined": 0}
        rows += [{"part": part} | row for row in _bar_rows(content.get("bars", {}))]
        for support, table in content["alignment"].items():
            rows += [{"part": part} | row for row in _share_rows(support, table)]
    return pd.DataFrame(rows).set_index(["part", "metric"])


def _bar_rows(bars: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for bar, content in bars.items():
        for metric in BAR_METRICS:
            for difference in (False, True):
                entry = content[f"{metric}_difference" if difference else metric]
                row = {"metric": bar_column(metric, bar, difference=difference), "support": ""}
                row |= {"quantity": bar_column(metric, "", difference=difference).rstrip("_"), "feature": bar}
                yield (
                    row
                    | Interval.of(entry["value"], entry["ci"])._asdict()
                    | {"undefined": content["undefined"]}
                )


def _share_rows(support: str, table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    # Files of earlier versions have no partial shares.
    for quantity in (*QUANTITIES, *([PARTIAL] if PARTIAL in table else [])):
        for name, summary in table[quantity].items():
            summaries = {name: summary}
            if name == JOINT:
                summaries = {JOINT: summary["squared"], JOINT_MAGNITUDE: summary["magnitude"]}
            for feature, values in summaries.items():
                row: dict[str, Any] = {"metric": share_column(support, quantity, feature), "support": support}
                row |= {"quantity": quantity, "feature": feature}
                row |= Interval.of_summary(values)._asdict()
                undefined = values["undefined"] if quantity == PARTIAL else table["undefined"][quantity]
                row |= {"median": or_nan(values["median"]), "undefined": undefined}
                if quantity == "S":
                    row["expected"] = or_nan(table["white"].get(feature, {}).get("expected"))
                for null, content in table.get("nulls", {}).items():
                    entry = content.get(quantity, {}).get(feature, {})
                    row |= {f"{null}.{end}": or_nan(entry.get(key)) for key, end in _OF_NULL.items()}
                    row[f"{null}.draws"] = or_nan(content.get("draws"))
                yield row


@dataclass(frozen=True)
class Reference:
    """The cohort whose standard deviations give effects their size.

    Attributes:
        of: "training patients", or "measured patients" where the former are unknown.
        sd: by feature, in its unit; None for a feature that does not vary.
        units: symbols by feature, "" for none.
        mean: by feature, of the training patients; None if they are unknown, and in earlier versions.
    """

    of: str
    sd: dict[str, float | None]
    units: dict[str, str]
    mean: dict[str, float] | None = None


@dataclass(frozen=True)
class OutsidePaths:
    """Paths that end on images outside the range of all others, [0, 1], which no scanner can produce.

    Attributes:
        n: number of patients with more than the share `threshold` of the tumour's pixels outside.
        of: number of patients with F for whom that is known.
        threshold: a share in [0, 1].
        largest_excess: largest distance of a pixel from the range, in units of its width; None if `of` is 0.
        F_joint_inside: mean joint F (squared) of the other patients; None if there are none.
    """

    n: int
    of: int
    threshold: float
    largest_excess: float | None
    F_joint_inside: float | None


@dataclass(frozen=True)
class PathCounts:
    """How the paths to the decision boundary ended, for the patients of one part on one support.

    Attributes:
        status: number of patients by the name of the `FlowStatus`, in lower case.
        undefined: number of patients left out of S and of F, by "S" and "F".
        nulls: names of the nulls.
        far: number of paths longer than twice the norm of their image; 0 in files of version 0.1.
        flow_error: largest estimated error of the averaged F; None if it is unknown.
        outside: None in files of earlier versions.
    """

    status: dict[str, int]
    undefined: dict[str, int]
    nulls: list[str]
    far: int
    flow_error: float | None
    outside: OutsidePaths | None = None


@dataclass(frozen=True)
class PartMetrics:
    """The metrics of a model on one part of the patients.

    Attributes:
        name: of the part: "test", "external", ….
        n, n_positive: number of patients, and of positive patients among them.
        table: the rows of the part, indexed by metric, see `metrics_table`.
        paths: by support.
        effects: signed effects by support, see `effects.effects_table`; no rows in files of earlier versions.
        population: what the score follows over patients; None in files of earlier versions.
        clinical: see `clinical.clinical_content`; None for a network of the image alone.
    """

    name: str
    n: int
    n_positive: int
    table: pd.DataFrame
    paths: dict[str, PathCounts]
    effects: dict[str, pd.DataFrame]
    population: PopulationShare | None = None
    clinical: dict[str, Any] | None = None

    def __getitem__(self, metric: str) -> Interval:
        """The mean and interval of a metric by the name of its column; `KeyError` if it does not exist."""
        return Interval.of_means(self.table.loc[metric])

    @property
    def supports(self) -> list[str]:
        """Where gradients were compared."""
        return list(self.paths)

    @property
    def bars(self) -> list[str]:
        """Names of the bars that the network is compared with; none in files of earlier versions."""
        columns = (bar_of(metric) for metric in self.table.index)
        return list(dict.fromkeys(column.bar for column in columns if column))

    @property
    def best_bar(self) -> str | None:
        """The bar with the largest AUC on these patients; None if there are no bars."""
        return max(self.bars, key=lambda bar: self[bar_column("auc", bar)].mean, default=None)

    @property
    def means(self) -> dict[str, float]:
        """The mean of every metric by the name of its column; NaN if it is undefined."""
        return self.table["mean"].to_dict()

    def shares(self, support: str, quantity: str | None = None) -> pd.DataFrame:
        """The rows of S and F on a support, or those of one quantity: "S", "F" or "partial"."""
        rows = self.table[self.table["support"] == support]
        return rows[rows["quantity"].isin(QUANTITIES if quantity is None else [quantity])]


@dataclass(frozen=True)
class RunMetrics:
    """The content of metrics.json.

    Attributes:
        parts: by the name of the part.
        n_train: number of patients that the model was trained on.
        confidence: of the intervals.
        threshold: {"logit", "probability", "chosen_on", "criterion"} of the decision.
        reference: of the effects, see `Reference`; None in files of earlier versions.
        content: of the file.
    """

    parts: dict[str, PartMetrics]
    n_train: int
    confidence: float
    threshold: dict[str, Any]
    reference: Reference | None
    content: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, metrics: dict[str, Any]) -> "RunMetrics":
        """From the content of metrics.json."""
        table = metrics_table(metrics)
        parts = {
            name: PartMetrics(
                name,
                content["n"],
                content["n_positive"],
                table.loc[name],
                {support: _path_counts(each) for support, each in content["alignment"].items()},
                {
                    support: effects_table(content.get("effects", {}).get(support, {}))
                    for support in content["alignment"]
                },
                PopulationShare(content["population"]) if "population" in content else None,
                content.get("clinical"),
            )
            for name, content in metrics["splits"].items()
        }
        reference = Reference(**metrics["reference"]) if "reference" in metrics else None
        return cls(parts, metrics["n_train"], metrics["confidence"], metrics["threshold"], reference, metrics)


def _path_counts(table: dict[str, Any]) -> PathCounts:
    return PathCounts(
        table["status"],
        table["undefined"],
        list(table.get("nulls", {})),
        table.get("far", 0),
        table.get("flow_error"),
        OutsidePaths(**table["outside"]) if "outside" in table else None,
    )
