"""The sections of a report on a comparison of arms."""

import math

import pandas as pd

from fgf_keras.config import Config
from fgf_keras.evaluation.comparison import comparison_rows
from fgf_keras.evaluation.comparison_plots import arms_plot, arms_roc_plot
from fgf_keras.evaluation.figures import number, run_figures
from fgf_keras.evaluation.protocol_table import as_records, protocol_rows
from fgf_keras.evaluation.report_blocks import (
    Bullets,
    Callout,
    Fold,
    Plot,
    Section,
    Table,
    Terms,
    Text,
    Tiles,
)
from fgf_keras.evaluation.report_settings import reward_in_words
from fgf_keras.evaluation.report_style import svg_of
from fgf_keras.evaluation.report_text import GLOSSARY, QUESTION, TRUST

COMPARED = (
    "Here several networks are compared that differ in the reward they were trained with alone: every arm "
    "sees the same patients in the same parts, with the same seeds."
)
TOLD = (
    "Here networks are compared that learned from phantoms whose labels follow laws that are known, another "
    "law in every arm and another phantom in every repeat: what alignment should find is known too. Arms "
    "differ in their patients, so that there are no paired differences."
)
MOST_ARMS = 4


def arms_told(config: Config, chosen: dict) -> list[str]:
    """Names of the arms that are shown in detail: all, or where they are many, the first and those chosen."""
    arms = [arm.name for arm in config.arms]
    if len(arms) <= MOST_ARMS:
        return arms
    picked = [arm for arm in chosen.values() if arm]
    return [arms[0], *(picked or arms[1:MOST_ARMS])]


def headlines(config: Config) -> dict[str, str]:
    """The figures that stand for an arm, with their titles."""
    support = config.evaluate.support[0]
    return {
        "auc": "AUC",
        "balanced_accuracy": "balanced accuracy",
        f"{support}.S_joint": f"joint S ({support})",
        f"{support}.F_joint": f"joint F ({support})",
    }


def overview_section(config, trials: pd.DataFrame, table, failures: dict, found: dict, split: str) -> Section:
    """What a reader with one minute takes away.

    Args:
        config: of the comparison.
        trials: a `trial_table`.
        table: a `protocol_table`, or None where there is one split and no sweep.
        failures: sentence by name of a trial.
        found: metrics by (name of the split of the cohort, arm).
        split: which part is reported.
    """
    arms, splits = [arm.name for arm in config.arms], trials["repeat"].nunique()
    sentences = [
        f"{len(arms)} arms ({', '.join(arms)}) on {splits} split{'s' * (splits != 1)} of the cohort: "
        f"{len(trials)} trainings, {len(failures)} of them failed. Figures are of the {split} part."
    ]
    if table is not None:
        # Arms of known laws have no patients in common.
        if config.truth is None:
            sentences += _verdicts(table, headlines(config))
            sentences.append("Verdicts are one by one, not corrected for the number of figures and arms.")
    else:
        sentences.append(
            "One split and one seed: differences within the intervals mean nothing. protocol.repeats trains "
            "the arms on several."
        )
    tiles = []
    for arm in arms_told(config, {}):
        values = trials[trials["arm"] == arm]["auc"]
        spread = (
            f"± {number(values.std())} over {values.count()} splits"
            if splits > 1
            else _auc_interval(found, arm, split)
        )
        tiles.append((f"AUC, {arm}", number(values.mean()), spread))
    blocks = [Tiles(tiles), Bullets([*sentences, TRUST])]
    if failures:
        blocks.append(
            Callout("Failed trainings", [f"{name}: {error}" for name, error in failures.items()], "warning")
        )
    return Section("summary", "In short", blocks)


def _verdicts(table, titles):
    """A sentence a difference that is shown, and one for all that are not."""
    if "verdict" not in table:
        return []
    compared = table[table["figure"].isin(titles) & table["verdict"].notna()]
    shown = (compared["difference_low"] > 0) | (compared["difference_high"] < 0)
    sentences = [f"{sentence}." for sentence in compared[shown]["verdict"]]
    first = table["arm"].iloc[0]
    if not shown.any():
        return [f"No difference from {first} is shown for any arm in {', '.join(titles.values())}."]
    others = compared[~shown].groupby("arm", sort=False)["figure"]
    told = "; ".join(f"{arm}: {', '.join(titles[name] for name in names)}" for arm, names in others)
    return sentences + ([f"No difference from {first} is shown of {told}."] if told else [])


def _auc_interval(found, arm, split):
    held = next((metrics for (_, name), metrics in found.items() if name == arm and metrics), None)
    return (
        "" if held is None else "interval {} to {}".format(*map(number, held["splits"][split]["auc"]["ci"]))
    )


def comparison_question_section(config: Config) -> Section:
    """What was asked, the words the answer uses, and what the arms are."""
    if config.truth is None:
        told, header = COMPARED, ["arm", "reward"]
        rows = [[arm.name, reward_in_words(arm.reward)] for arm in config.arms]
    else:
        told, header = TOLD, ["arm", "law of the labels", "share of positive patients"]
        rows = [[arm.name, _law(arm), f"{arm.prevalence:g}"] for arm in config.arms]
    arms = Table("The arms", header, rows, words=True)
    return Section("question", "What was asked", [Text(QUESTION), Text(told), arms, Terms(GLOSSARY)])


def _law(arm):
    used = {name: value for name, value in arm.law.model_dump().items() if value}
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in used.items()) or "by lot"


def arms_section(config: Config, trials: pd.DataFrame, table, found: dict, split: str) -> Section:
    """The arms side by side; arguments as for `overview_section`."""
    if table is None:
        return _side_by_side(config, found, split)
    titles = headlines(config)
    cells = {(row["arm"], row["figure"]): row for row in as_records(table)}
    arms = list(dict.fromkeys(table["arm"]))
    rows = [
        [arm, *(f"{number(cells[arm, f]['mean'])} ± {number(cells[arm, f]['sd'])}" for f in titles)]
        for arm in arms
    ]
    blocks = [
        Table(f"{split} part: mean ± standard deviation over splits", ["arm", *titles.values()], rows),
        _arms_plot(
            _of_splits(cells, trials, arms, titles), config, f"{config.evaluate.confidence:.0%} corrected"
        ),
    ]
    if config.truth is not None:
        return Section("arms", "The arms side by side", blocks)
    if len(arms) > 1:
        differences = [[arm, *(_difference(cells[arm, f]) for f in titles)] for arm in arms[1:]]
        caption = (
            f"Paired difference from {arms[0]} [{config.evaluate.confidence:.0%} interval of the corrected "
            "resampled t-test of Nadeau and Bengio], p"
        )
        blocks.append(Table(caption, ["arm", *titles.values()], differences))
    header, all_rows = protocol_rows(table)
    blocks.append(Fold("Every figure of every arm", [Table("As in protocol.md", header, all_rows)]))
    if "verdict" in table:
        blocks.append(Fold("Every verdict", [Bullets(list(table["verdict"].dropna()))]))
    return Section("arms", "The arms side by side", blocks)


def _side_by_side(config, found, split):
    held = {arm: metrics for (_, arm), metrics in found.items()}
    rows = [[name, *(texts or [""] * len(held))] for name, texts in comparison_rows(held, split)]
    points = []
    for figure, title in headlines(config).items():
        for arm, metrics in held.items():
            low, high = _bounds(metrics["splits"][split], figure)
            value = run_figures(metrics, split)[figure]
            points.append(
                {
                    "arm": arm,
                    "figure": figure,
                    "title": title,
                    "value": value,
                    "low": low,
                    "high": high,
                    "points": [],
                }
            )
    table = Table(f"{split} part, with intervals over patients", ["", *held], rows)
    return Section("arms", "The arms side by side", [_arms_plot(points, config, "over patients"), table])


def _bounds(held, figure):
    support, dot, name = figure.partition(".")
    ci = held["alignment"][support][name[0]]["joint"]["squared"]["ci"] if dot else held[figure]["ci"]
    return [math.nan if end is None else end for end in ci]


def _of_splits(cells, trials, arms, titles):
    rows = []
    for figure, title in titles.items():
        for arm in arms:
            cell = cells[arm, figure]
            value, low, high = (
                math.nan if cell[key] is None else cell[key] for key in ("mean", "low", "high")
            )
            points = trials[trials["arm"] == arm][figure].dropna().tolist()
            rows.append(
                {
                    "arm": arm,
                    "figure": figure,
                    "title": title,
                    "value": value,
                    "low": low,
                    "high": high,
                    "points": points,
                }
            )
    return rows


def _arms_plot(rows, config, intervals):
    table = pd.DataFrame(rows)
    values = "; ".join(
        f"{title}: "
        + ", ".join(f"{row.arm} {number(row.value)}" for row in table[table["title"] == title].itertuples())
        for title in dict.fromkeys(table["title"])
    )
    caption = (
        f"Dots and lines: means with intervals ({intervals}), cut at 0 and 1; faint dots: single splits. The "
        f"dotted line is {config.arms[0].name}."
    )
    return Plot("arms", f"Figures of each arm. {values}.", caption, svg_of(arms_plot(table), "arms"))


def _difference(cell):
    if cell["difference"] is None:
        return "undefined"
    bounds = f"[{number(cell['difference_low'])}, {number(cell['difference_high'])}]"
    return f"{number(cell['difference'])} {bounds}, p {number(cell['p'])}"


def arms_roc_section(patients: dict, split: str, arms: list[str]) -> Section:
    """ROC of each arm.

    Args:
        patients: tables as patients.csv holds them, by (name of the split of the cohort, arm).
        split: which part of each.
        arms: which are drawn.
    """
    curves = {}
    for arm in arms:
        tables = [table[table["split"] == split] for (_, name), table in patients.items() if name == arm]
        if tables:
            curves[arm] = [(table["label"], table["logit"]) for table in tables]
    most = max(len(splits) for splits in curves.values())
    how = (
        f"Mean over up to {most} splits of the sensitivity at each specificity (no pooling of scores, which "
        "differ between networks)" + ("; bands: ± one standard deviation." if len(curves) <= 2 else ".")
        if most > 1
        else "One split; with so few positive patients, small differences mean nothing."
    )
    alt = f"ROC curves on the {split} part, of {', '.join(curves)}. {how}"
    return Section(
        "roc",
        "ROC curves",
        [Plot("roc", alt, f"ROC, {split} part. {how}", svg_of(arms_roc_plot(curves), "roc"))],
    )
