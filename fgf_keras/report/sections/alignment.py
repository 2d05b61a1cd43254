"""S and F with intervals, compared with the nulls."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fgf_keras.flow.status import ENDED, FlowStatus
from fgf_keras.pictures.colours import BLUE, COLOURS, FAINT, GREEN, GREY, INK, ORANGE, PAPER, PURPLE
from fgf_keras.report.document import Block, Callout, Plot, Section, Table, Text
from fgf_keras.report.style import svg_of
from fgf_keras.report.words import in_words, p_text, percent
from fgf_keras.results.columns import PARTIAL, QUANTITIES, feature_title, share_column
from fgf_keras.results.interval import UNDEFINED, Interval, number, or_nan, rounded
from fgf_keras.results.metrics import OutsidePaths, PartMetrics, PathCounts

NULL_CAVEATS = [
    "p-values of means over patients are statements about this one network, not evidence of what training "
    "has put there: what a network does to one tumour it does to the next.",
    "Brightness, and with it the joint share, exceeds random fields even in networks that have learned "
    "nothing, because summing the input is natural to a network. Compare these with the same network trained "
    "on permuted labels, not with random fields.",
    "The white null shows that gradients are smooth, nothing more. The smooth null keeps its level for S "
    "of extent and of aspect ratio, at a length that fits the network and the pixel size.",
    "Beside a dominant brightness, p of S is too cautious for extent and aspect ratio: most of a network's "
    "gradient is constant over the tumour, which random fields follow and these features do not. A large p "
    "does not show that they are ignored. The partial share compares what the other features leave of the "
    "gradient, for the feature and for random fields alike. Its small p says that this rest follows the "
    "feature, not that the labels do, nor that the rest is large.",
    "F has a bias of its own: the gradients of extent and aspect ratio turn with the image along the path, "
    "while a null stays, and that alone lets F exceed it.",
]

# All colours except that of the measured means; there may be one null per correlation length.
_NULL_COLOURS = (GREY, GREEN, PURPLE, ORANGE, *COLOURS[5:])


def alignment_section(metrics: PartMetrics, features: list[str]) -> Section:
    """S and F on each support with intervals, compared with chance.

    Args:
        metrics: of the reported part.
        features: names of the features.
    """
    blocks = []
    for support in metrics.supports:
        blocks += alignment_blocks(metrics, support, features)
    return Section("alignment", "Alignment with the named features", [*blocks, nulls_callout()])


def nulls_callout() -> Callout:
    """What a comparison with random features shows, and what it does not show."""
    return Callout("How to read the nulls", NULL_CAVEATS, "warning")


def alignment_blocks(metrics: PartMetrics, support: str, features: list[str], *, of: str = "") -> list[Block]:
    """S and F on one support; `of` is the name of the model if there are several."""
    shares, nulls = metrics.shares(support), metrics.paths[support].nulls
    whose = f"{of}: " if of else ""
    sentence = alignment_sentence(metrics, support, features)
    name = "_".join(["alignment", *of.split("/"), support]) if of else f"alignment_{support}"
    caption = (
        f"{whose}{metrics.n} {metrics.name} patients, support “{support}”. Dots and lines: measured means, "
        "with intervals over patients. Bands: what features that mean nothing reach on average over the same "
        "patients."
    )
    figure = alignment_plot(shares, nulls)
    plot = Plot(
        name,
        f"Alignment with each feature, S and F, on support {support}. {sentence}",
        caption,
        svg_of(figure, name),
    )
    titles = {kind: kind for kind in QUANTITIES}
    # Files of earlier versions have none.
    if not metrics.shares(support, PARTIAL).empty:
        titles[PARTIAL] = "partial share"
    tables = [
        Table(
            f"{whose}{title} on support “{support}”: mean [interval], and of each null mean (5–95\u00a0%), p",
            ["", title, "median", *(f"{null} null" for null in nulls)],
            [
                [feature_title(row["feature"]), str(Interval.of_means(row)), number(row["median"])]
                + [_band_text(row, null) for null in nulls]
                for _, row in metrics.shares(support, kind).iterrows()
            ],
        )
        for kind, title in titles.items()
    ]
    return [Text(sentence), plot, *tables, Text(left_out_sentence(metrics, support))]


def _band_text(row: pd.Series, null: str) -> str:
    band = row[[f"{null}.{end}" for end in ("mean", "q05", "q95", "p")]]
    if band.isna().any():
        return "–"
    mean, low, high, _ = map(rounded, band)
    return f"{mean} ({low}–{high}), {p_text(row[f'{null}.p'], row[f'{null}.draws'])}"


def alignment_sentence(metrics: PartMetrics, support: str, features: list[str]) -> str:
    """How much of the gradient the named features explain on one support.

    Args:
        metrics: of a part.
        support: where gradients were compared.
        features: names of the features.
    """
    where = "inside the tumour" if support == "mask" else "over the whole picture"

    def mean(quantity: str, feature: str) -> float:
        return metrics[share_column(support, quantity, feature)].mean

    if np.isnan(mean("S", "joint")):
        return (
            f"Of what the network reacts to {where}, nothing can be said: S is undefined for every patient."
        )
    sentence = (
        f"Of what the network reacts to {where} (support “{support}”), {percent(mean('S', 'joint'))} of the "
        f"squared gradient, {percent(mean('S', 'joint_magnitude'))} of its magnitude, can be put into the "
        f"words {in_words(features)}"
    )
    largest = max(features, key=lambda name: mean("S", name))
    alone = f"; {largest.replace('_', ' ')} alone makes up {percent(mean('S', largest))}"
    flow = mean("F", "joint")
    on_the_way = (
        "On the way to the decision boundary it is undefined for every patient."
        if np.isnan(flow)
        else f"On the way to the decision boundary it is {percent(flow)}."
    )
    chance = _chance_sentence(metrics, support)
    return f"{sentence}{alone if len(features) > 1 else ''}. {chance}{on_the_way}"


def alignment_in_short(metrics: PartMetrics, features: list[str]) -> str:
    """Joint S with its chance level, the largest single S, and joint F, on each support in one sentence."""
    sentences = []
    for support in metrics.supports:
        joint = metrics[share_column(support, "S", "joint")].mean
        where = "Inside the tumour" if support == "mask" else "Over the whole picture"
        if np.isnan(joint):
            sentences.append(f"{where}, S is undefined for every patient.")
            continue
        null = smooth_null(metrics, support)
        chance = f" (random smooth fields: {percent(null.low)} to {percent(null.high)})" * null.is_known
        shares = {name: metrics[share_column(support, "S", name)].mean for name in features}
        largest = max(shares, key=lambda name: shares[name])
        alone = f", {feature_title(largest)} alone {percent(shares[largest])}" if len(features) > 1 else ""
        flow = metrics[share_column(support, "F", "joint")].mean
        way = "" if np.isnan(flow) else f", and {percent(flow)} on the way to the decision boundary"
        sentences.append(
            f"{where}, the named features are {percent(joint)} of what the network reacts to at the "
            f"patient's image{chance}{alone}{way}."
        )
    return " ".join(sentences)


def _chance_sentence(metrics: PartMetrics, support: str) -> str:
    null = smooth_null(metrics, support)
    if null.is_known:
        mean, low, high = map(percent, null)
        return f"Random smooth fields reach {mean} of the squared gradient by chance ({low} to {high}). "
    expected = metrics.table.loc[share_column(support, "S", "joint"), "expected"]
    return f"White noise would reach {percent(expected)} by chance. "


def smooth_null(metrics: PartMetrics, support: str) -> Interval:
    """Mean and 5-95 % band of the joint S (squared) of smooth random fields; NaN if none were drawn."""
    joint = metrics.table.loc[share_column(support, "S", "joint")]
    smooth = next((null for null in metrics.paths[support].nulls if null.startswith("smooth")), None)
    return (
        Interval(*(float(joint[f"{smooth}.{end}"]) for end in ("mean", "q05", "q95")))
        if smooth
        else UNDEFINED
    )


def left_out_sentence(metrics: PartMetrics, support: str) -> str:
    """The patients left out of the means on a support, and the reasons."""
    paths, n = metrics.paths[support], metrics.n
    if not any(paths.undefined.values()):
        return f"None of the {n} patients is left out: S and F are defined for all of them.{_accuracy(paths)}"
    reasons = [
        f"{paths.status[status.name.lower()]} {status.name.lower().replace('_', ' ')} ({status.sentence})"
        for status in FlowStatus
        # Files of earlier versions have fewer statuses.
        if status not in ENDED and paths.status.get(status.name.lower())
    ]
    return (
        f"Of {n} patients, {paths.undefined['S']} are left out of S and {paths.undefined['F']} out of F, "
        f"because these are undefined there: {'; '.join(reasons) or 'values that are not finite'}."
        f"{_accuracy(paths)}"
    )


def _accuracy(paths: PathCounts) -> str:
    """How accurate F is, and whether some paths are very long; "" for files of earlier versions."""
    if paths.flow_error is None:
        return ""
    sentence = f" The estimated error of F is {max(paths.flow_error, 1e-4):.4f} or less."
    if paths.far:
        sentence += (
            f" The way to the boundary of {paths.far} patients is so long that it ends unlike any image of "
            "the training: their F and contributions describe the network, not the patient."
        )
    return sentence + _outside(paths.outside)


def _outside(outside: OutsidePaths | None) -> str:
    """How many paths end on images that no scanner can produce; "" if there are none, or it is unknown."""
    if outside is None or not outside.n:
        return ""
    without = (
        f"; joint F without them is {number(outside.F_joint_inside)}"
        if outside.n < outside.of
        else "; there is no patient without it"
    )
    excess = percent(or_nan(outside.largest_excess))
    return (
        f" {outside.n} of {outside.of} paths end on images that no scanner can produce (more than "
        f"{percent(outside.threshold)} of the tumour's pixels outside the HU window, by up to {excess} of "
        f"its width){without}."
    )


def alignment_plot(shares: pd.DataFrame, nulls: list[str]) -> Figure:
    """Plot S and F of each feature with intervals, and the 5-95 % bands of the nulls behind them.

    Args:
        shares: rows of a support, see `PartMetrics.shares`.
        nulls: names of the nulls, in the order of the colours.
    """
    names = list(dict.fromkeys(shares["feature"]))
    figure = Figure(figsize=(9, 0.9 + 0.52 * len(names)))
    panels = figure.subplots(1, 2, sharey=True)
    # The axis ends at the largest value of any interval or band.
    ends = shares[["low", "high", *(f"{null}.q95" for null in nulls)]].to_numpy(float)
    reach = max(0.01, np.nanmax(ends, initial=0.01))
    for axes, kind, title in zip(panels, QUANTITIES, ("S, at the patient", "F, on the way to the boundary")):
        for y in range(0, len(names), 2):
            axes.axhspan(y - 0.5, y + 0.5, color=FAINT, alpha=0.3, linewidth=0)
        for _, row in shares[shares["quantity"] == kind].iterrows():
            _draw_row(axes, len(names) - 1 - names.index(row["feature"]), row, nulls)
        axes.set_title(title)
        axes.set_xlim(-0.02 * reach, min(reach * 1.06, 1.02))
        axes.set_yticks(range(len(names)), [feature_title(name) for name in reversed(names)])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("share")
    figure.legend(*_alignment_legend(nulls), loc="outside lower center", ncols=len(nulls) + 1)
    return figure


def _draw_row(axes: Axes, y: int, row: pd.Series, nulls: list[str]) -> None:
    height = 0.62 / max(1, len(nulls))
    for k, (null, colour) in enumerate(zip(nulls, cycle(_NULL_COLOURS))):
        low, high = row[f"{null}.q05"], row[f"{null}.q95"]
        if not np.isnan(low):
            bottom = y + 0.31 - (k + 1) * height
            # With a line, so that a very thin band is still visible.
            axes.broken_barh(
                [(low, high - low)], (bottom, height * 0.9), color=colour, alpha=0.5, linewidth=1
            )
    if np.isnan(row["mean"]):
        axes.annotate("undefined", (0, y), color=INK, fontsize=8, va="center")
        return
    axes.plot([row["low"], row["high"]], [y, y], color=BLUE, linewidth=2, solid_capstyle="butt")
    axes.plot(row["mean"], y, "o", color=BLUE, markersize=6, markeredgecolor=PAPER)


def _alignment_legend(nulls: list[str]) -> tuple[list[Artist], list[str]]:
    handles: list[Artist] = [Line2D([], [], color=BLUE, marker="o", linewidth=2)]
    handles += [Patch(color=colour, alpha=0.5) for _, colour in zip(nulls, cycle(_NULL_COLOURS))]
    return handles, ["measured mean and interval", *(f"{null} null, 5–95\u00a0%" for null in nulls)]
