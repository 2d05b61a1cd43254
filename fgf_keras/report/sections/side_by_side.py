"""The table of runs side by side: one row per metric, one column per run."""

import numpy as np

from fgf_keras.report.document import Table
from fgf_keras.results.columns import (
    BAR_METRICS,
    CLASSIFICATION,
    QUANTITIES,
    bar_column,
    bar_title,
    feature_title,
    metric_title,
)
from fgf_keras.results.metrics import PartMetrics


def side_by_side_table(runs: dict[str, PartMetrics], caption: str) -> Table:
    """Classification, then alignment on each support, as `mean [low, high]` over patients.

    Args:
        runs: the same part of each run, by the name of the run.
        caption: of the table.
    """
    parts = list(runs.values())
    rows = [["patients (positive)", *(f"{part.n} ({part.n_positive})" for part in parts)]]
    rows += [[metric_title(name), *(str(part[name]) for part in parts)] for name in CLASSIFICATION]
    for bar in parts[0].bars:
        # Shared by all: bars depend on the patients alone, or the runs would not stand side by side.
        rows.append([f"bar: {bar_title(bar)}", *[""] * len(parts)])
        for metric in BAR_METRICS:
            own, more = bar_column(metric, bar), bar_column(metric, bar, difference=True)
            titles = (f"{metric_title(metric)} of the bar", f"{metric_title(metric)}, network − bar")
            for title, column in zip(titles, (own, more)):
                rows.append([title, *(str(part[column]) if bar in part.bars else "" for part in parts)])
    for support in parts[0].supports:
        rows.append([f"support: {support}", *[""] * len(parts)])
        for metric, row in parts[0].shares(support).iterrows():
            title = f"{row['quantity']} {feature_title(row['feature'])}"
            rows.append([title, *(str(part[metric]) for part in parts)])
        rows.append(["white noise: feature / joint", *(_white(part, support) for part in parts)])
        undefined = [part.paths[support].undefined for part in parts]
        rows.append(
            ["patients left out of: S / F", *(" / ".join(str(u[q]) for q in QUANTITIES) for u in undefined)]
        )
    return Table(caption, ["", *runs], rows)


def _white(part: PartMetrics, support: str) -> str:
    shares = part.shares(support, "S").set_index("feature")["expected"]
    feature, joint = shares.iloc[0], shares.get("joint", np.nan)
    return "undefined" if np.isnan(feature) else f"{feature:.2g} / {joint:.2g}"
