"""The figures of docs/paper.md, from the folder of a comparison such as configs/hn_cnn.yaml makes.

Prints the table of arms (mean ± standard deviation over splits, and the paired difference from the first arm
with its interval, as protocol.csv has them), then for each arm how many networks predict worse than a coin,
the AUC of the others, and what smooth random features reach:

    python benchmarks/paper_table.py --run runs/hn_cnn/latest
"""

import argparse
import json

import pandas as pd

from fgf_keras.files import read_json
from fgf_keras.results.columns import CLASSIFICATION, QUANTITIES, metric_title, share_column
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.run.folder import RunFolder
from fgf_keras.run.trial import trials_of

LABELS = {
    "brightness": "brightness",
    "extent": "extent",
    "log_aspect_ratio": "log aspect ratio",
    "joint": "joint (squared)",
    "joint_magnitude": "joint (magnitude)",
}
HEADINGS = {"mask": "in the tumour (support `mask`)", "image": "over the canvas (support `image`)"}
ALPHA = 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True)
    options = parser.parse_args()
    folder = RunFolder.open(options.run)
    table = pd.read_csv(folder.path / "protocol.csv")
    by_arm = tested(folder)
    print("\n".join(markdown(table)))
    found = {arm: beside(parts) for arm, parts in by_arm.items()}
    for arm, figures in found.items():
        print(f"\n{arm}:")
        for name, value in figures.items():
            print(f"  {name}: {value}")
    print(json.dumps({"paper_table": found}))


def tested(folder):
    """`PartMetrics` of the test part of each trial, by arm."""
    by_arm = {}
    for trial in trials_of(folder.load_config()):
        metrics = RunMetrics.of(read_json(trial.folder(folder).metrics_file))
        by_arm.setdefault(trial.arm.name, []).append(metrics.parts["test"])
    return by_arm


def markdown(table):
    """Lines of the table of arms."""
    arms = list(dict.fromkeys(table["arm"]))
    cells = {(row.arm, row.figure): cell(row, first=row.arm == arms[0]) for row in table.itertuples()}
    lines = [f"| test part | {' | '.join(arms)} |", "|---" * (len(arms) + 1) + "|"]

    def line(label, figure):
        lines.append(f"| {label} | {' | '.join(cells[arm, figure] for arm in arms)} |")

    for metric in CLASSIFICATION:
        line(metric_title(metric), metric)
    for support, heading in HEADINGS.items():
        if (arms[0], share_column(support, "S", "joint")) not in cells:
            continue
        lines.append(f"| **{heading}** |{' |' * len(arms)}")
        for quantity in QUANTITIES:
            for name, label in LABELS.items():
                column = share_column(support, quantity, name)
                if (arms[0], column) in cells:
                    line(f"{quantity} {label}", column)
    return lines


def cell(row, *, first):
    """Mean ± standard deviation, and for all arms but the first the difference from it."""
    text = f"{row.mean:.3f} ± {row.sd:.3f}"
    if first:
        return text
    return f"{text} ({row.difference:+.3f} [{row.difference_low:+.3f}, {row.difference_high:+.3f}])"


def beside(parts):
    """What the table does not say of an arm, from the test parts of its splits."""
    auc = pd.Series([part["auc"].mean for part in parts])
    figures = {
        "splits": len(parts),
        "AUC below 0.5": int((auc < 0.5).sum()),
        "mean AUC of the others": round(float(auc[auc >= 0.5].mean()), 3),
    }
    if all(part.population and not part.population.reason for part in parts):
        explained = [part.population.by_feature("ranks")["joint"][0].mean for part in parts]
        figures["score explained by the features, by ranks"] = round(float(pd.Series(explained).mean()), 3)
    for support in parts[0].supports:
        shares = pd.Series([part[share_column(support, "S", "joint_magnitude")].mean for part in parts])
        figures[f"{support}: joint magnitude above 0.16 in"] = int((shares > 0.16).sum())
        figures[f"{support}: without F"] = sum(part.paths[support].undefined["F"] for part in parts)
        if "smooth" not in parts[0].paths[support].nulls:
            continue
        for metric, row in parts[0].shares(support, "S").iterrows():
            null = pd.DataFrame([part.table.loc[metric] for part in parts])
            if null["smooth.mean"].isna().all():
                continue
            mean, high = null["smooth.mean"].mean(), null["smooth.q95"].mean()
            above = int((null["smooth.p_adjusted"] <= ALPHA).sum())
            text = f"null mean {mean:.3f}, 95 % {high:.3f}, p <= {ALPHA} in {above} splits"
            figures[f"{support}: S {row['feature']}"] = text
    return figures


if __name__ == "__main__":
    main()
