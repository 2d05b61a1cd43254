"""The sections of a report on a comparison of arms."""

import math

import pandas as pd

from fgf_keras.config import Config
from fgf_keras.evaluation.ablation_table import SHOWN
from fgf_keras.evaluation.comparison import comparison_rows
from fgf_keras.evaluation.comparison_plots import arms_plot, arms_roc_plot
from fgf_keras.evaluation.figures import left_out, number, run_figures
from fgf_keras.evaluation.protocol_table import as_records, protocol_rows
from fgf_keras.evaluation.report_blocks import (
    Bullets,
    Callout,
    Fold,
    Page,
    Plot,
    Section,
    Table,
    Terms,
    Text,
    Tiles,
)
from fgf_keras.evaluation.report_sections import alignment_blocks
from fgf_keras.evaluation.report_settings import reward_in_words
from fgf_keras.evaluation.report_style import svg_of
from fgf_keras.evaluation.report_text import GLOSSARY, NULL_CAVEATS, QUESTION, TRUST
from fgf_keras.evaluation.sweep_report import sweep_sentence, trade_off_plot

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


def trade_off_section(config: Config, trade_off: pd.DataFrame, chosen: dict, test: pd.DataFrame) -> Section:
    """How much accuracy an alignment costs, over the grid of λ.

    Args:
        config: of the sweep.
        trade_off: a `trade_off_table`, of the validation part.
        chosen: arm by kind of reward, see `largest_weights`.
        test: a `protocol_table` of the test part.
    """
    support = config.evaluate.support[0]
    names = {"auc": "AUC", "auc_change": "change of AUC", "S_joint": "joint S", "F_joint": "joint F"}
    rows = [
        [
            row["arm"],
            *(number(row[name]) for name in names),
            "yes" if row["pareto"] else "",
            "yes" if row["arm"] in chosen.values() else "",
            str(row["failed"]),
        ]
        for row in as_records(trade_off)
    ]
    sentences = [sweep_sentence(kind, arm, test, config) for kind, arm in chosen.items()]
    caption = (
        f"Validation part, support “{support}”, means over splits with intervals; numbers are λ; lines of "
        "intervals may leave the picture. Up: more of the gradient in words; right: more accurate."
    )
    figure = trade_off_plot(trade_off, support)
    return Section(
        "trade-off",
        "What alignment costs",
        [
            Bullets(sentences),
            Plot(
                "trade_off",
                f"Joint S and F against AUC and balanced accuracy. {' '.join(sentences)}",
                caption,
                svg_of(figure, "trade_off"),
            ),
            Table(
                "Validation part, means over splits",
                ["arm", *names.values(), "Pareto front", "chosen", "failed"],
                rows,
            ),
        ],
    )


def truth_section(png: bytes, file: str) -> Section:
    """What is known of the laws, beside what alignment found.

    Args:
        png: content of truth.png.
        file: its place, relative to the report.
    """
    caption = "What alignment should find and what it found; tables are in truth.md beside this figure."
    alt = "Alignment with each feature under each law of the labels, as truth.md tells it in tables."
    return Section("truth", "Is what is known found?", [Page(file, alt, caption, png)])


def ablation_section(content: dict) -> Section:
    """What each feature is worth, from ablation.json."""
    rows = [
        [f"{row['feature'].replace('_', ' ')} ({row['support']})", *(_with_bounds(row, n) for n in SHOWN)]
        for row in content["features"]
    ]
    lead = Text(
        f"Shares of each feature in the joint S of {content['arm']}, and how figures change when the feature "
        "is left out of the reward."
    )
    caption = (
        "Mean over splits [interval]; the last three columns are changes without the feature in the reward"
    )
    return Section(
        "ablation", "What each feature is worth", [lead, Table(caption, ["feature", *SHOWN.values()], rows)]
    )


def _with_bounds(row, name):
    if row[f"{name}_low"] is None:
        return number(row[name])
    return f"{number(row[name])} [{number(row[f'{name}_low'])}, {number(row[f'{name}_high'])}]"


def models_section(config: Config, found: dict, arms: list[str], split: str) -> Section:
    """One network of each arm in detail, the first that did not fail."""
    features = [feature.name for feature in config.features]
    blocks = [Text("Intervals are over the patients of that split, for that one network.")]
    for arm in arms:
        name = _first(found, arm)
        if name is None:
            continue
        inner = []
        for support, table in found[name]["splits"][split]["alignment"].items():
            inner += alignment_blocks(table, support, split, features, of=_in_folder(name))
        title = f"{arm}, {name[0]}" if name[0] else arm
        blocks.append(Fold(title, inner) if arm != arms[0] else Text(title, lead=True))
        blocks += inner if arm == arms[0] else []
    undefined = sum(
        left_out(metrics, split, f"{config.evaluate.support[0]}.F_joint")
        for metrics in found.values()
        if metrics
    )
    blocks.append(Text(f"Over all trainings, {undefined} patients are left out of F on the first support."))
    blocks.append(Callout("How to read the nulls", NULL_CAVEATS, "warning"))
    return Section("alignment", "Alignment of one network of each arm", blocks)


def _first(found, arm):
    return next((name for name, metrics in found.items() if name[1] == arm and metrics), None)


def _in_folder(name):
    return "/".join(part for part in name if part)


def pages_section(pages: dict) -> Section:
    """Patients of one network of each arm.

    Args:
        pages: (file relative to the report, PNG) by name of a trial and support.
    """
    blocks = []
    for (trial, support), (file, png) in pages.items():
        told_page = f"Patients of {trial} on support “{support}”"
        page = Page(
            file,
            f"{told_page}, a row each: slice with contour, gradient of the score, its part along the "
            "features, the rest, gradient of each feature, image at the decision boundary, what changed.",
            f"{told_page}. evaluate.py --run with the folder of this training writes its own report.",
            png,
        )
        blocks.append(page if not blocks else Fold(told_page, [page]))
    if not blocks:
        blocks = [Text("No pictures were asked for (evaluate.pictures: 0).")]
    return Section("pictures", "Patients shown", blocks)
