"""Alignment compared with known laws: S and F under each law, recovery, and error rates of the nulls."""

import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fgf_keras.config.truth import NOTHING
from fgf_keras.report.document import Block, Plot, Section, Table
from fgf_keras.report.style import svg_of
from fgf_keras.results.columns import JOINT
from fgf_keras.results.protocol import as_records
from fgf_keras.results.study import Study
from fgf_keras.results.truth import nulls
from fgf_keras.results.truth_lenses import LENSES

CAPTION = (
    "S (filled) and F (open), means over test patients at each prevalence; solid where the label uses the "
    "feature, else dotted; bars: 5–95 % of such means of null features"
)
# Width of the caption.
CHARACTERS_PER_INCH = 14
_PLACE = ("role", "null", "quantity")
_GREYS = ("0.88", "0.75", "0.6", "0.45")
_COLOURS = ("tab:orange", "tab:blue", "tab:green", "tab:purple", "tab:brown", "tab:pink")


def truth_section(study: Study) -> Section:
    """The plot of alignment under each law."""
    caption = f"{CAPTION}. Tables are in truth.md of the run."
    alt = "Alignment with each feature under each law of the labels, as truth.md tells it in tables."
    plot = Plot("truth", alt, caption, svg_of(truth_plot(study.truth), "truth"))
    return Section("truth", "Is what is known found?", [plot])


def truth_tables(study: Study) -> list[Block]:
    """The tables of alignment under each law, recovery and rejection rates; empty ones are left out."""
    config = study.config
    alignment = (
        f"Means over test patients, support {config.evaluate.support[0]}; * the label depends on the feature"
    )
    recovery = (
        "Trials in which the features that the label depends on are ranked first, of all trials (of those "
        "whose AUC is above 0.5 with its whole interval); apart: their intervals lie above the others'"
    )
    rates = (
        f"p ≤ {config.evaluate.alpha:g}: false positives, but power where features are used. Share of "
        f"patients, with its {config.evaluate.confidence:.0%} interval over networks; then, in the order of "
        "the features, the largest distance of the patients' p-values from uniform, and the networks whose "
        "mean over patients is significant"
    )
    lenses = (
        "Other lenses, means over test patients and phantoms: population share; the change of the score by "
        "one standard deviation, by the slope (effect) and when tumours are moved; * the label depends on "
        "the feature"
    )
    tables: list[Table] = [
        Table(alignment, *_alignment_rows(study.truth)),
        Table(lenses, *_lens_rows(study.truth)),
        Table(recovery, *_recovery_rows(study.recovery)),
        Table(rates, *_rate_rows(study.rates)),
    ]
    return [table for table in tables if table.rows]


def _alignment_rows(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text: one row per law and prevalence, with AUC, S and F, means over repeats."""
    trials = table[table["feature"].notna()]
    features = [name for name in dict.fromkeys(trials["feature"]) if name != JOINT]
    header = ["law", "prevalence", "AUC (law's own)"]
    header += [f"{kind} {words}" for kind in "SF" for words in _words(features)]
    header += ["first by S, by F", "left out of S / F"]
    rows = []
    for (law, prevalence), law_rows in trials.groupby(["law", "prevalence"], sort=False):
        means = law_rows.groupby("feature", sort=False)[["S", "F"]].mean().loc[features]
        used = set(law_rows.loc[law_rows["role"] == "used", "feature"])
        auc, oracle = law_rows["auc"].mean(), law_rows["auc_oracle"].mean()
        row = [law, f"{prevalence:g}", f"{auc:.2f} ({_number(oracle)})"]
        row += [_number(means.loc[name, kind]) + "*" * (name in used) for kind in "SF" for name in features]
        first = [means[kind].idxmax() if means[kind].notna().all() else "undefined" for kind in "SF"]
        left_out = law_rows[law_rows["feature"] == JOINT][["undefined_S", "undefined_F"]].sum()
        rows.append([*row, ", ".join(_words(first)), " / ".join(f"{count:.0f}" for count in left_out)])
    return header, rows


def _lens_rows(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text: one row per law and prevalence, with the lenses besides S and F."""
    lenses = [lens for lens in LENSES if lens in table and table[lens].notna().any()]
    trials = table[table["feature"].notna() & (table["feature"] != JOINT)]
    if not lenses or trials.empty:
        return [], []
    features = list(dict.fromkeys(trials["feature"]))
    header = ["law", "prevalence", *(f"{lens} {words}" for lens in lenses for words in _words(features))]
    rows = []
    for (law, prevalence), law_rows in trials.groupby(["law", "prevalence"], sort=False):
        means = law_rows.groupby("feature", sort=False)[lenses].mean().loc[features]
        used = set(law_rows.loc[law_rows["role"] == "used", "feature"])
        cells = [
            _number(means.loc[name, lens]) + "*" * (name in used) for lens in lenses for name in features
        ]
        rows.append([law, f"{prevalence:g}", *cells])
    return header, rows


def _recovery_rows(recovery: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text: one row per reading, one column per law."""
    if recovery.empty:
        return [], []
    laws = list(dict.fromkeys(recovery["law"]))
    cells = {(row["law"], row["reading"]): row for row in as_records(recovery)}
    rows = []
    for reading in dict.fromkeys(recovery["reading"]):
        by_law = [cells[law, reading] for law in laws]
        counts = [
            f"{row['recovered']}/{row['trials']} ({row['recovered_learned']}/{row['learned']}){_apart(row)}"
            for row in by_law
        ]
        rows.append([" ".join(_words([reading])), *counts])
    return ["ranked by", *laws], rows


def _apart(row: dict[str, Any]) -> str:
    """In how many trials the intervals are apart; "" for readings without intervals."""
    return "" if row["apart"] is None else f", apart {row['apart']:.0f} ({row['apart_learned']:.0f})"


def _rate_rows(rates: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text: one row per role, null and quantity, one column per feature."""
    if rates.empty:
        return [], []
    features = list(dict.fromkeys(rates["feature"]))
    header = ["features", "null", "of", *_words(features), "distance", "networks"]
    roles = {NOTHING: "random labels", "unused": "not used", "used": "used"}
    cells = {(*(row[key] for key in _PLACE), row["feature"]): row for row in as_records(rates)}
    rows = []
    for place in dict.fromkeys(key[:-1] for key in cells):
        # A cell is missing if the label uses a feature in every law or in none.
        by_feature = [cells.get((*place, feature)) for feature in features]
        row = [roles[place[0]], *place[1:], *("–" if cell is None else _rate(cell) for cell in by_feature)]
        row.append(", ".join("–" if cell is None else _number(cell["distance"]) for cell in by_feature))
        row.append(
            ", ".join(
                "–" if cell is None else f"{cell['cohort_hits']}/{cell['cohorts']}" for cell in by_feature
            )
        )
        rows.append(row)
    return header, rows


def _words(names: Iterable[str]) -> list[str]:
    return [name.replace("log_aspect_ratio", "aspect").replace("_", " ") for name in names]


def _number(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.2f}"


def _rate(row: dict[str, Any]) -> str:
    low, high = row["rate_low"], row["rate_high"]
    return _number(row["rate"]) + ("" if low is None else f" [{low:.2f}, {high:.2f}]")


def truth_plot(table: pd.DataFrame) -> Figure:
    """One panel per law: S (filled) and F (open) of each feature over prevalences, with the nulls' bands."""
    shares = table[table["feature"].notna() & (table["feature"] != JOINT)]
    laws = list(dict.fromkeys(shares["law"]))
    columns = min(4, len(laws))
    figure = Figure(figsize=(3.4 * columns, 2.9 * -(-len(laws) // columns) + 0.6), layout="constrained")
    panels = figure.subplots(-(-len(laws) // columns), columns, sharey=True, squeeze=False).ravel()
    features = list(dict.fromkeys(shares["feature"]))
    # Compared with white noise everything is aligned: its band would coincide with the axis.
    bands = [null for null in nulls(shares) if null != "white"]
    for axes, law in zip(panels, laws):
        law_rows = shares[shares["law"] == law]
        prevalences = sorted(set(law_rows["prevalence"]), reverse=True)
        for i, (feature, colour) in enumerate(zip(features, _COLOURS * len(features))):
            feature_rows = law_rows[law_rows["feature"] == feature]
            means = feature_rows.groupby("prevalence").mean(numeric_only=True).loc[prevalences]
            x = np.arange(len(prevalences)) + 0.22 * (i - (len(features) - 1) / 2)
            for null, grey in zip(bands, _GREYS):
                low, high = means[f"S_{null}_q05"], means[f"S_{null}_q95"]
                # Bands of means over patients are thin; they are drawn at least as thick as a line.
                axes.bar(x, np.maximum(high - low, 0.012), 0.2, low, color=grey, label=f"{null}, S")
            used = (feature_rows["role"] == "used").any()
            label = feature.replace("_", " ")
            axes.plot(x, means["S"], "o-" if used else "o:", color=colour, ms=5, lw=0.8, label=label)
            axes.plot(x, means["F"], "o", color=colour, ms=8, mfc="none", mew=0.8)
        axes.set_title(law.replace("_", " "), fontsize=9)
        axes.set_xticks(np.arange(len(prevalences)), [f"{prevalence:g}" for prevalence in prevalences])
        axes.set_ylim(-0.03, 1.03)
        axes.grid(alpha=0.3, axis="y")
    for axes in panels[::columns]:
        axes.set_ylabel("alignment")
    for axes in panels[len(laws) :]:
        axes.set_visible(False)
    by_label = dict(zip(*reversed(panels[0].get_legend_handles_labels())))
    figure.legend(
        by_label.values(), by_label.keys(), loc="outside lower center", ncols=len(by_label), fontsize=8
    )
    return figure


def titled_truth_plot(table: pd.DataFrame) -> Figure:
    """The same plot with its caption as a title, for a file of its own."""
    figure = truth_plot(table)
    inches = figure.get_size_inches()[0]
    figure.suptitle(textwrap.fill(CAPTION, int(CHARACTERS_PER_INCH * inches)), fontsize=9)
    return figure
