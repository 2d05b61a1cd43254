"""The figures of docs/paper.md, from the folder of a comparison such as configs/hn_cnn.yaml makes.

Prints four tables: the metrics of the arms, what their scores follow over patients, the regressions that
need no image, and in how many splits the joint share rose, by as much as the paper's did. Cells are means
over splits ± standard deviation, and the paired difference from the first arm (or --reference ARM) with its
corrected interval.
Then, for each arm, how many networks predict worse than a coin, and what smooth random features reach:

    python benchmarks/paper_table.py --run runs/hn_cnn/latest
"""

import argparse
import json

import pandas as pd

from fgf_keras.commands.outcome import read_study
from fgf_keras.results.columns import (
    BAR_METRICS,
    CLASSIFICATION,
    JOINT,
    JOINT_MAGNITUDE,
    QUANTITIES,
    bar_column,
    metric_title,
    share_column,
)
from fgf_keras.results.protocol import protocol_table
from fgf_keras.run.folder import RunFolder

LABELS = {
    "brightness": "brightness",
    "extent": "extent",
    "log_aspect_ratio": "log aspect ratio",
    "joint": "joint (squared)",
    "joint_magnitude": "joint (magnitude)",
}
HEADINGS = {"mask": "in the tumour (support `mask`)", "image": "over the canvas (support `image`)"}
ALPHA = 0.05
# The share of gradient magnitude that the paper reports without and with its reward.
PAPER = (0.16, 0.19)
RISE = PAPER[1] / PAPER[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True)
    parser.add_argument("--reference", help="arm that the others are compared with; by default the first")
    options = parser.parse_args()
    folder = RunFolder.open(options.run)
    study = read_study(folder.load_config(), folder, part="test", where="evaluation")
    arms = [arm for arm in study.arm_results if arm.trials]
    if options.reference is not None:
        arms.sort(key=lambda arm: arm.name != options.reference)
    names, confidence = [arm.name for arm in arms], study.config.evaluate.confidence
    trials = study.trials.sort_values("arm", key=lambda each: each.map(names.index), kind="stable")
    table = protocol_table(trials, confidence=confidence)
    followed = protocol_table(patients_trials(trials, arms), confidence=confidence)
    for lines in (metrics_table(table), patients_table(followed), bars_table(table), rises_table(arms)):
        print("\n".join(lines) + "\n")
    found = {arm.name: beside([trial.metrics for trial in arm.trials.values()]) for arm in arms}
    for arm, figures in found.items():
        print(f"{arm}:")
        for name, value in figures.items():
            print(f"  {name}: {value}")
    print(json.dumps({"paper_table": found}))


def head(title, arms):
    return [f"| {title} | {' | '.join(arms)} |", "|---" * (len(arms) + 1) + "|"]


def cells_of(table):
    """The cells of a `protocol_table` by (arm, figure), and its arms in order."""
    arms = list(dict.fromkeys(table["arm"]))
    return {(row.arm, row.figure): cell(row, first=row.arm == arms[0]) for row in table.itertuples()}, arms


def cell(row, *, first):
    """Mean ± standard deviation, and for all arms but the first the difference from it."""
    text = f"{row.mean:.3f} ± {row.sd:.3f}"
    if first:
        return text
    return f"{text} ({row.difference:+.3f} [{row.difference_low:+.3f}, {row.difference_high:+.3f}])"


def metrics_table(table):
    """Lines of the table of arms."""
    cells, arms = cells_of(table)
    lines = head("test part", arms)

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


def patients_trials(trials, arms):
    """As `trials`, with what the scores follow over patients in place of the metrics."""
    trials = trials[["repeat", "arm", "n_train", "n_test"]].set_index(["repeat", "arm"])
    found = {(split, arm.name): over_patients(trial) for arm in arms for split, trial in arm.trials.items()}
    followed = pd.DataFrame.from_dict(found, orient="index").rename_axis(trials.index.names)
    return trials.join(followed).reset_index()


def patients_table(table):
    """Lines of the population shares by ranks, and of the change of the score when a feature is moved."""
    cells, arms = cells_of(table)
    rows = (f"| {row} | {' | '.join(cells[arm, row] for arm in arms)} |" for row in table["figure"].unique())
    return [*head("over patients", arms), *rows]


def over_patients(trial):
    """What the score of one network follows, by the name of the row; what was not measured is left out."""
    found, population = {}, trial.metrics.population
    if population and not population.reason:
        for name, (share, _) in population.by_feature("ranks").items():
            found[f"population share, {'together' if name == JOINT else LABELS.get(name, name)}"] = share.mean
    for name in (trial.behaviour or {"features": {}})["features"]:
        found[f"moved by one sd, {LABELS.get(name, name)}"] = trial.effect(name).mean
    return found


def bars_table(table):
    """Lines of the bars, and of what each arm has more than they."""
    arms = list(dict.fromkeys(table["arm"]))
    rows = {(row.arm, row.figure): row for row in table.itertuples()}
    lines = head("bar", ["AUC", "balanced accuracy", *(f"{arm} minus bar" for arm in arms)])
    prefix = bar_column("auc", "")
    for bar in (
        name.removeprefix(prefix) for arm, name in rows if arm == arms[0] and name.startswith(prefix)
    ):
        texts = [rows[arms[0], bar_column(metric, bar)] for metric in BAR_METRICS]
        texts = [f"{row.mean:.3f} ± {row.sd:.3f}" for row in texts]
        for arm in arms:
            over = [rows[arm, bar_column(metric, bar, difference=True)] for metric in BAR_METRICS]
            texts.append("; ".join(f"{row.mean:+.3f} [{row.low:+.3f}, {row.high:+.3f}]" for row in over))
        lines.append(f"| {bar} | {' | '.join(texts)} |")
    return lines


def rises_table(arms):
    """Lines of the number of splits in which joint magnitude rose, and rose by the paper's share or more."""
    lines = head("splits in which the joint magnitude rose", [arm.name for arm in arms[1:]])
    for support, heading in HEADINGS.items():
        if support not in arms[0].supports:
            continue
        column = share_column(support, "S", JOINT_MAGNITUDE)
        for label, factor in (("", 1.0), (f" by {RISE - 1:.0%}", RISE)):
            texts = []
            for arm in arms[1:]:
                common = [split for split in arms[0].trials if split in arm.trials]
                before, after = (
                    [one.trials[split].metrics[column].mean for split in common] for one in (arms[0], arm)
                )
                rose = [new >= factor * old for old, new in zip(before, after)]
                texts.append(f"{sum(rose)} of {len(rose)}")
            lines.append(f"| {heading}{label} | {' | '.join(texts)} |")
    return lines


def beside(parts):
    """What the tables do not say of an arm, from the test parts of its splits."""
    auc = pd.Series([part["auc"].mean for part in parts])
    figures = {
        "splits": len(parts),
        "AUC below 0.5": int((auc < 0.5).sum()),
        "mean AUC of the others": round(float(auc[auc >= 0.5].mean()), 3),
    }
    for support in parts[0].supports:
        shares = pd.Series([part[share_column(support, "S", JOINT_MAGNITUDE)].mean for part in parts])
        figures[f"{support}: joint magnitude above {PAPER[0]} in"] = int((shares > PAPER[0]).sum())
        figures[f"{support}: cannot rise by {RISE - 1:.0%} in"] = int((RISE * shares > 1).sum())
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
