"""The tables that a comparison over many splits leaves."""

import pandas as pd
import rich.console
import rich.text

from fgf_keras.config import Config
from fgf_keras.config_protocol import ablated_arm
from fgf_keras.evaluation.ablation_table import ablation_table, ablation_terminal
from fgf_keras.evaluation.protocol_table import (
    as_records,
    protocol_markdown,
    protocol_table,
    protocol_terminal,
    trial_table,
)
from fgf_keras.run_folder import write_json


def report_protocol(config: Config, metrics_by_trial: dict, split: str, directory) -> rich.console.Group:
    """Write protocol.json, .csv and .md and trials.csv into a folder.

    Args:
        config: of the comparison.
        metrics_by_trial: content of metrics.json by (name of the split of the cohort, arm).
        split: which part of each: "test", or "external".
        directory: to write into; made if it is not there.

    Returns:
        What to print: the table and the verdicts.
    """
    confidence = config.evaluate.confidence
    trials = trial_table(metrics_by_trial, split)
    table = protocol_table(trials, confidence=confidence)
    count = trials["repeat"].nunique()
    title = (
        f"{split} part of {count} splits: mean ± standard deviation over splits; differences paired by "
        f"split, with {confidence:.0%} intervals of the corrected resampled t-test"
    )
    directory.mkdir(exist_ok=True)
    trials.to_csv(directory / "trials.csv", index=False)
    table.to_csv(directory / "protocol.csv", index=False)
    (directory / "protocol.md").write_text(protocol_markdown(table, title), encoding="utf-8")
    summary = {
        "split": split,
        "arms": list(dict.fromkeys(trials["arm"])),
        "splits": list(dict.fromkeys(trials["repeat"])),
        "n_train": float(trials["n_train"].mean()),
        "n_test": float(trials["n_test"].mean()),
        "failed": [list(key) for key, metrics in metrics_by_trial.items() if metrics is None],
        "confidence": confidence,
        "p_values": "one by one, not corrected for the number of figures and arms",
        "figures": as_records(table),
    }
    write_json(directory / "protocol.json", summary)
    shown = [protocol_terminal(table, title)]
    if "verdict" in table:
        # All sentences are in protocol.md; a screen has room for these.
        told = table[table["figure"].map(_is_headline)]["verdict"].dropna()
        shown.append(rich.text.Text("\n".join(f"  {sentence}" for sentence in told)))
    return rich.console.Group(*shown)


def report_ablation(config: Config, metrics_by_trial: dict, patients: dict, split: str, directory):
    """Write ablation.json and ablation.csv into a folder; returns the table to print.

    Args:
        config: of the comparison.
        metrics_by_trial: as for `report_protocol`.
        patients: files patients.csv by the same keys.
        split: which part of each.
        directory: an existing folder.
    """
    features = [feature.name for feature in config.features]
    arm = ablated_arm(config.arms, features)
    table = ablation_table(
        trial_table(metrics_by_trial, split),
        {key: pd.read_csv(path) for key, path in patients.items() if metrics_by_trial[key]},
        split=split,
        arm=arm.name,
        features=arm.reward.features or features,
        supports=config.evaluate.support,
        confidence=config.evaluate.confidence,
    )
    table.to_csv(directory / "ablation.csv", index=False)
    write_json(directory / "ablation.json", {"arm": arm.name, "split": split, "features": as_records(table)})
    return ablation_terminal(table, arm.name)


def _is_headline(figure):
    return figure in ("balanced_accuracy", "auc") or figure.endswith((".S_joint", ".F_joint"))
