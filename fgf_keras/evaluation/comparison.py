"""Runs side by side: one row a figure, one column a run."""

import rich.box
import rich.table

from fgf_keras.evaluation.figures import estimate, interval
from fgf_keras.evaluation.text_tables import markdown_lines


def comparison_rows(metrics_by_run: dict, split: str) -> list[tuple[str, list[str]]]:
    """(figure, one text a run) for a split: classification, then alignment on each support.

    Figures read `value [low, high]`, with the bootstrap interval over patients; a row without texts is a
    heading.

    Args:
        metrics_by_run: contents of metrics.json by name of the run.
        split: which split of them.
    """
    runs = [metrics["splits"][split] for metrics in metrics_by_run.values()]
    rows = [("patients (positive)", [f"{run['n']} ({run['n_positive']})" for run in runs])]
    for key in ("balanced_accuracy", "auc", "sensitivity", "specificity"):
        name = key.replace("_", " ").replace("auc", "AUC")
        rows.append((name, [interval(run[key]["value"], run[key]["ci"]) for run in runs]))
    for support in runs[0]["alignment"]:
        tables = [run["alignment"][support] for run in runs]
        rows.append((f"support: {support}", []))
        for kind in "SF":
            for label, path in _entries(tables[0][kind]):
                rows.append((f"{kind} {label}", [estimate(_at(table[kind], path)) for table in tables]))
        rows.append(
            (
                "white noise: feature / joint",
                [_white(table["white"]) for table in tables],
            )
        )
        rows.append(
            (
                "patients left out of: S / F",
                [f"{table['undefined']['S']} / {table['undefined']['F']}" for table in tables],
            )
        )
    return rows


def comparison_markdown(metrics_by_run: dict, split: str) -> str:
    """`comparison_rows` as a Markdown table."""
    rows = []
    for name, texts in comparison_rows(metrics_by_run, split):
        rows.append([name, *texts] if texts else [f"**{name}**", *[""] * len(metrics_by_run)])
    return "\n".join(markdown_lines([f"{split} split", *metrics_by_run], rows)) + "\n"


def comparison_table(metrics_by_run: dict, split: str) -> rich.table.Table:
    """`comparison_rows` for a terminal."""
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, title=f"{split} split", title_justify="left")
    table.add_column("")
    for name in metrics_by_run:
        table.add_column(name, justify="right", no_wrap=True)
    for name, texts in comparison_rows(metrics_by_run, split):
        table.add_row(name, *texts, style=None if texts else "bold")
    return table


def _entries(kind):
    for name in kind:
        if name == "joint":
            yield "joint (squared)", ("joint", "squared")
            yield "joint (magnitude)", ("joint", "magnitude")
        else:
            yield name.replace("_", " "), (name,)


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def _white(white):
    one, joint = next(iter(white.values()))["expected"], white["joint"]["expected"]
    return "undefined" if one is None else f"{one:.2g} / {joint:.2g}"
