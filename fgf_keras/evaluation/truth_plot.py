"""S and F of networks whose labels follow known laws, beside what nulls reach."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fgf_keras.evaluation.truth_table import JOINT, nulls

_GREYS = ("0.88", "0.75", "0.6", "0.45")
_COLOURS = ("tab:orange", "tab:blue", "tab:green", "tab:purple", "tab:brown", "tab:pink")


def truth_plot(table: pd.DataFrame) -> Figure:
    """A panel a law: S (filled) and F (open) of each feature over prevalences, with bands of the nulls."""
    known = table[table["feature"].notna() & (table["feature"] != JOINT)]
    laws = list(dict.fromkeys(known["law"]))
    columns = min(4, len(laws))
    figure = Figure(figsize=(3.4 * columns, 2.9 * -(-len(laws) // columns) + 0.6), layout="constrained")
    panels = figure.subplots(-(-len(laws) // columns), columns, sharey=True, squeeze=False).ravel()
    features = list(dict.fromkeys(known["feature"]))
    # Against white noise everything is aligned: its band is the axis.
    bands = [null for null in nulls(known) if null != "white"]
    for axes, law in zip(panels, laws):
        of_law = known[known["law"] == law]
        prevalences = sorted(set(of_law["prevalence"]), reverse=True)
        for i, (feature, colour) in enumerate(zip(features, _COLOURS * len(features))):
            held = of_law[of_law["feature"] == feature]
            means = held.groupby("prevalence").mean(numeric_only=True).loc[prevalences]
            at = np.arange(len(prevalences)) + 0.22 * (i - (len(features) - 1) / 2)
            for null, grey in zip(bands, _GREYS):
                low, high = means[f"S_{null}_q05"], means[f"S_{null}_q95"]
                # Means over patients spread little: a band is never thinner than a line.
                axes.bar(at, np.maximum(high - low, 0.012), 0.2, low, color=grey, label=f"{null}, S")
            used = (held["role"] == "used").any()
            label = feature.replace("_", " ")
            axes.plot(at, means["S"], "o-" if used else "o:", color=colour, ms=5, lw=0.8, label=label)
            axes.plot(at, means["F"], "o", color=colour, ms=8, mfc="none", mew=0.8)
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
    figure.suptitle(
        "S (filled) and F (open), means over test patients at each prevalence; solid where the label uses "
        "the feature, else dotted; bars: 5–95 % of such means of null features",
        fontsize=9,
    )
    return figure
