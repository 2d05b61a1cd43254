"""Arms over repeated splits: means, spreads, paired differences from the first arm, and verdicts."""

import numpy as np
import pandas as pd
import rich.table

from fgf_keras.evaluation.figures import left_out, number, run_figures
from fgf_keras.evaluation.resampled_difference import resampled_mean, verdict
from fgf_keras.evaluation.text_tables import markdown_lines, terminal_table


def trial_table(metrics_by_trial: dict, split: str) -> pd.DataFrame:
    """A row a trial: repeat, arm, n_train, n_test, the figures of `split`, and what they leave out.

    Args:
        metrics_by_trial: content of metrics.json by (name of the split of the cohort, arm); None where the
            trial failed, whose row is empty.
        split: which part of it: "test", "validation", ….
    """
    rows = []
    for (repeat, arm), metrics in metrics_by_trial.items():
        if metrics is None:
            rows.append({"repeat": repeat, "arm": arm})
            continue
        figures = run_figures(metrics, split)
        row = {"repeat": repeat, "arm": arm, "n_train": metrics["n_train"]}
        row |= {"n_test": metrics["splits"][split]["n"]} | figures
        row |= {f"left_out.{name}": left_out(metrics, split, name) for name in figures if "." in name}
        rows.append(row)
    return pd.DataFrame(rows)


def averaging(trials: pd.DataFrame, confidence: float) -> dict[str, float]:
    """What `resampled_mean` takes beside the values of a `trial_table`."""
    sizes = {name: trials[name].mean() for name in ("n_train", "n_test")}
    return sizes | {"confidence": confidence}


def figure_names(trials: pd.DataFrame) -> list[str]:
    """The figures that a `trial_table` holds, in order."""
    known = ("repeat", "arm", "n_train", "n_test")
    return [name for name in trials.columns if name not in known and not name.startswith("left_out.")]


def protocol_table(trials: pd.DataFrame, *, confidence: float) -> pd.DataFrame:
    """A row an arm and figure, from a `trial_table`.

    Columns: arm, figure, mean and sd over splits, low and high (corrected interval of the mean), splits,
    left_out (patients without the figure, summed over splits), and for every arm but the first: difference
    (mean of the paired differences from the first arm), difference_low, difference_high, p, pairs, verdict.
    """
    arms = list(dict.fromkeys(trials["arm"]))
    over_splits = averaging(trials, confidence)
    by_arm = {arm: trials[trials["arm"] == arm].set_index("repeat") for arm in arms}
    reference = by_arm[arms[0]]
    rows = []
    for arm in arms:
        for figure in figure_names(trials):
            values = by_arm[arm][figure]
            own = resampled_mean(values, **over_splits)
            row = {"arm": arm, "figure": figure, "mean": own.mean, "sd": values.std(ddof=1)}
            row |= {"low": own.low, "high": own.high, "splits": own.splits}
            row["left_out"] = int(by_arm[arm].get(f"left_out.{figure}", pd.Series([0])).sum())
            if arm != arms[0]:
                # The index is the split: only what was seen on the same one is subtracted.
                found = resampled_mean(values - reference[figure], **over_splits)
                row |= {"difference": found.mean, "difference_low": found.low, "difference_high": found.high}
                row |= {"p": found.p, "pairs": found.splits}
                row["verdict"] = verdict(told(figure), arm, arms[0], found, confidence=confidence)
            rows.append(row)
    return pd.DataFrame(rows)


def as_records(table: pd.DataFrame) -> list[dict]:
    """Rows as JSON can hold them: what is not there or undefined is null."""
    records = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    return [{key: v.item() if isinstance(v, np.generic) else v for key, v in row.items()} for row in records]


def told(figure: str) -> str:
    """A figure's name in words: "S_joint (mask)", "AUC"."""
    support, dot, name = figure.partition(".")
    return f"{name} ({support})" if dot else figure.replace("_", " ").replace("auc", "AUC")


def protocol_rows(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text: a row a figure, with mean ± sd of every arm and each arm's difference."""
    arms = list(dict.fromkeys(table["arm"]))
    cells = {(row["arm"], row["figure"]): row for row in as_records(table)}
    most = max(row["splits"] for row in cells.values())
    header = ["figure", *arms, *(f"{arm} − {arms[0]}" for arm in arms[1:]), "patients left out"]
    rows = []
    for figure in dict.fromkeys(table["figure"]):
        own = [cells[arm, figure] for arm in arms]
        differences = [
            f"{number(row['difference'])} [{number(row['difference_low'])}, {number(row['difference_high'])}]"
            for row in own[1:]
        ]
        # A figure can be undefined for a whole split, which is then missing from the mean.
        means = [
            f"{number(row['mean'])} ± {number(row['sd'])}"
            + (f" ({row['splits']} of {most} splits)" if row["splits"] < most else "")
            for row in own
        ]
        rows.append([told(figure), *means, *differences, " / ".join(str(row["left_out"]) for row in own)])
    return header, rows


def protocol_markdown(table: pd.DataFrame, title: str) -> str:
    """`protocol_rows` as a Markdown table, with the verdicts below."""
    header, rows = protocol_rows(table)
    lines = [title, "", *markdown_lines(header, rows)]
    if "verdict" in table:
        lines += ["", *(f"- {sentence}" for sentence in table["verdict"].dropna())]
    return "\n".join(lines) + "\n"


def protocol_terminal(table: pd.DataFrame, title: str) -> rich.table.Table:
    """`protocol_rows` for a terminal."""
    return terminal_table(title, *protocol_rows(table))
