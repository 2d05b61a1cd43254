"""What a report on a comparison says beside its arms: the price of alignment, features, laws, networks."""

import pandas as pd

from fgf_keras.config import Config
from fgf_keras.evaluation.ablation_table import SHOWN
from fgf_keras.evaluation.figures import left_out, number
from fgf_keras.evaluation.protocol_table import as_records
from fgf_keras.evaluation.report_blocks import (
    Bullets,
    Callout,
    Fold,
    Page,
    Plot,
    Section,
    Table,
    Text,
)
from fgf_keras.evaluation.report_sections import alignment_blocks
from fgf_keras.evaluation.report_style import svg_of
from fgf_keras.evaluation.report_text import NULL_CAVEATS
from fgf_keras.evaluation.sweep_report import sweep_sentence, trade_off_plot


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
