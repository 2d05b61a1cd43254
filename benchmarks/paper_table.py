"""The figures of docs/paper.md, from the folder of a comparison such as configs/hn_cnn.yaml makes.

Prints four tables: the metrics of the arms, what their scores follow over patients, the regressions that
need no image, and in how many splits the joint share rose, by as much as the paper's did. Cells are means
over splits ± standard deviation, and the paired difference from the first arm with its corrected interval.
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
    JOINT_MAGNITUDE,
    QUANTITIES,
    bar_column,
    metric_title,
    share_column,
)
from fgf_keras.results.protocol import averaging
from fgf_keras.results.resampled import DIFFERENCES, resampled_mean
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True)
    options = parser.parse_args()
    folder = RunFolder.open(options.run)
    study = read_study(folder.load_config(), folder, part="test", where="evaluation")
    arms = [arm for arm in study.arm_results if arm.trials]
    table = study.protocol
    for lines in (metrics_table(table), patients_table(study, arms), bars_table(table), rises_table(arms)):
        print("\n".join(lines) + "\n")
    found = {arm.name: beside([trial.metrics for trial in arm.trials.values()]) for arm in arms}
    for arm, figures in found.items():
        print(f"{arm}:")
        for name, value in figures.items():
            print(f"  {name}: {value}")
    print(json.dumps({"paper_table": found}))


def head(title, arms):
    return [f"| {title} | {' | '.join(arms)} |", "|---" * (len(arms) + 1) + "|"]


def metrics_table(table):
    """Lines of the table of arms."""
    arms = list(dict.fromkeys(table["arm"]))
    cells = {(row.arm, row.figure): cell(row, first=row.arm == arms[0]) for row in table.itertuples()}
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


def cell(row, *, first):
    """Mean ± standard deviation, and for all arms but the first the difference from it."""
    text = f"{row.mean:.3f} ± {row.sd:.3f}"
    if first:
        return text
    return f"{text} ({row.difference:+.3f} [{row.difference_low:+.3f}, {row.difference_high:+.3f}])"


def patients_table(study, arms):
    """Lines of the population shares by ranks, and of the change of the score when a feature is moved."""
    lines = head("over patients", [arm.name for arm in arms])
    over_splits = averaging(study.trials, study.config.evaluate.confidence)

    def line(label, of_trial):
        series = [pd.Series({split: of_trial(trial) for split, trial in arm.trials.items()}) for arm in arms]
        texts = [f"{series[0].mean():.3f} ± {series[0].std(ddof=1):.3f}"]
        for values in series[1:]:
            difference = resampled_mean(values - series[0], within=DIFFERENCES, **over_splits)
            texts.append(
                f"{values.mean():.3f} ± {values.std(ddof=1):.3f} "
                f"({difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}])"
            )
        lines.append(f"| {label} | {' | '.join(texts)} |")

    trials = [trial for arm in arms for trial in arm.trials.values()]
    if all(trial.metrics.population and not trial.metrics.population.reason for trial in trials):
        for name in (*study.features, "joint"):
            label = LABELS.get(name, name) if name != "joint" else "together"

            def share(trial, name=name):
                return trial.metrics.population.by_feature("ranks")[name][0].mean

            line(f"population share, {label}", share)
    if all(trial.behaviour for trial in trials):
        for name in study.features:
            line(
                f"moved by one sd, {LABELS.get(name, name)}", lambda trial, name=name: trial.effect(name).mean
            )
    return lines


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
        for label, factor in (("", 1.0), (f" by {PAPER[1] / PAPER[0] - 1:.0%}", PAPER[1] / PAPER[0])):
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
