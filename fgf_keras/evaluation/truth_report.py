"""What a run under known laws leaves: what was recovered, and how often each null was wrong."""

import numpy as np
import pandas as pd
import rich.console
from sklearn.metrics import roc_auc_score

from fgf_keras.config import Config
from fgf_keras.config_truth import NOTHING
from fgf_keras.data.phantom import LATENTS, phantom_id, phantom_labels
from fgf_keras.evaluation.protocol_table import as_records
from fgf_keras.evaluation.text_tables import markdown_lines, terminal_table
from fgf_keras.evaluation.truth_plot import truth_plot
from fgf_keras.evaluation.truth_table import (
    JOINT,
    rate_table,
    recovery_table,
    truth_table,
)
from fgf_keras.run_folder import write_json
from fgf_keras.trial import trials_of

_PLACE = ("role", "null", "quantity")


def report_truth(config: Config, metrics_by_trial: dict, patients: dict, directory) -> rich.console.Group:
    """Write truth.json, truth.csv, truth.md and truth.png into a folder.

    Args:
        config: with the section `truth`.
        metrics_by_trial: content of metrics.json by (name of the repeat, arm); None where the trial failed.
        patients: files patients.csv by the same.
        directory: to write into; made if it is not there.

    Returns:
        What to print.
    """
    directory.mkdir(exist_ok=True)
    tested = {key: _tested(patients[key]) for key, found in metrics_by_trial.items() if found is not None}
    oracle = {
        (trial.split, trial.arm.name): oracle_auc(trial.config(config), tested[trial.split, trial.arm.name])
        for trial in trials_of(config)
        if (trial.split, trial.arm.name) in tested
    }
    table = truth_table(config, metrics_by_trial, tested, oracle)
    recovery, rates = recovery_table(table), rate_table(table, tested, config)
    table.to_csv(directory / "truth.csv", index=False)
    summary = {
        "support": config.evaluate.support[0],
        "alpha": config.evaluate.alpha,
        "confidence": config.evaluate.confidence,
        "failed": [list(key) for key, found in metrics_by_trial.items() if found is None],
        "recovery": as_records(recovery),
        "rates": as_records(rates),
        "trials": as_records(table),
    }
    write_json(directory / "truth.json", summary)
    texts = [
        (_alignment_title(config), *alignment_rows(table)),
        (_recovery_title(), *recovery_rows(recovery)),
        (_rates_title(config), *rate_rows(rates)),
    ]
    texts = [(title, header, rows) for title, header, rows in texts if rows]
    (directory / "truth.md").write_text("\n".join(_markdown(*text) for text in texts), encoding="utf-8")
    truth_plot(table).savefig(directory / "truth.png", dpi=150)
    return rich.console.Group(*(terminal_table(*text) for text in texts))


def oracle_auc(config: Config, patients: pd.DataFrame) -> float:
    """AUC of the probability that the law itself gives to phantom patients, NaN where it is the same for all.

    Args:
        config: of the run of a phantom.
        patients: rows of its patients.csv.
    """
    law = config.data.phantom
    coefficients = np.array([getattr(law, name) for name in LATENTS])
    if not coefficients.any():
        return float("nan")
    latents = phantom_labels(law, config.phantom_seed).latents
    number = {phantom_id(i): i for i in range(law.patients)}
    score = latents[[number[name] for name in patients.index]] @ coefficients
    return float(roc_auc_score(patients["label"], score))


def alignment_rows(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text: a law and prevalence a row, with AUC, S and F, means over repeats."""
    known = table[table["feature"].notna()]
    features = [name for name in dict.fromkeys(known["feature"]) if name != JOINT]
    header = ["law", "prevalence", "AUC (law's own)"]
    header += [f"{kind} {told}" for kind in "SF" for told in _words(features)]
    header += ["first by S, by F", "left out of S / F"]
    rows = []
    for (law, prevalence), held in known.groupby(["law", "prevalence"], sort=False):
        means = held.groupby("feature", sort=False)[["S", "F"]].mean().loc[features]
        used = set(held.loc[held["role"] == "used", "feature"])
        row = [law, f"{prevalence:g}", f"{held['auc'].mean():.2f} ({_number(held['auc_oracle'].mean())})"]
        row += [_number(means.loc[name, kind]) + "*" * (name in used) for kind in "SF" for name in features]
        first = [means[kind].idxmax() if means[kind].notna().all() else "undefined" for kind in "SF"]
        left_out = held[held["feature"] == JOINT][["undefined_S", "undefined_F"]].sum()
        rows.append([*row, ", ".join(_words(first)), " / ".join(f"{count:.0f}" for count in left_out)])
    return header, rows


def recovery_rows(recovery: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text: a reading a row, a law a column."""
    if recovery.empty:
        return [], []
    laws = list(dict.fromkeys(recovery["law"]))
    cells = {(row["law"], row["reading"]): row for row in as_records(recovery)}
    rows = []
    for reading in dict.fromkeys(recovery["reading"]):
        held = [cells[law, reading] for law in laws]
        told = [
            f"{row['recovered']}/{row['trials']} ({row['recovered_learned']}/{row['learned']})"
            for row in held
        ]
        rows.append([" ".join(_words([reading])), *told])
    return ["ranked by", *laws], rows


def rate_rows(rates: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text: a row for what the label does, null and quantity, with a column a feature."""
    features = list(dict.fromkeys(rates["feature"]))
    header = ["features", "null", "of", *_words(features), "distance", "networks"]
    told = {NOTHING: "labels by lot", "unused": "not used", "used": "used"}
    cells = {(*(row[key] for key in _PLACE), row["feature"]): row for row in as_records(rates)}
    rows = []
    for place in dict.fromkeys(key[:-1] for key in cells):
        # The label may use a feature in every law, or in none.
        held = [cells.get((*place, feature)) for feature in features]
        row = [told[place[0]], *place[1:], *("–" if one is None else _rate(one) for one in held)]
        row.append(", ".join("–" if one is None else _number(one["distance"]) for one in held))
        row.append(
            ", ".join("–" if one is None else f"{one['cohort_hits']}/{one['cohorts']}" for one in held)
        )
        rows.append(row)
    return header, rows


def _tested(path):
    table = pd.read_csv(path, index_col="patient_id")
    return table[table["split"] == "test"]


def _alignment_title(config):
    return (
        f"Means over test patients, support {config.evaluate.support[0]}; * the label depends on the feature"
    )


def _recovery_title():
    return (
        "Trials in which the features that the label depends on are ranked first, of all trials (of those "
        "whose AUC is above 0.5 with its whole interval)"
    )


def _rates_title(config):
    return (
        f"p ≤ {config.evaluate.alpha:g}: false positives, but power where features are used. Share of "
        f"patients, with its {config.evaluate.confidence:.0%} interval over networks; then, in the order of "
        "the features, the largest distance of the patients' p-values from uniform, and the networks whose "
        "mean over patients is significant"
    )


def _markdown(title, header, rows):
    return "\n".join([f"{title}:", "", *markdown_lines(header, rows)]) + "\n"


def _words(names):
    return [name.replace("log_aspect_ratio", "aspect").replace("_", " ") for name in names]


def _number(value):
    return "–" if value is None or np.isnan(value) else f"{value:.2f}"


def _rate(row):
    low, high = row["rate_low"], row["rate_high"]
    return _number(row["rate"]) + ("" if low is None else f" [{low:.2f}, {high:.2f}]")
