"""The network beside regressions on numbers that need no network: the bars that it has to clear."""

from fgf_keras.report.document import Block, Fold, Table, Text
from fgf_keras.report.words import in_words, listed
from fgf_keras.results.arm import ArmResult
from fgf_keras.results.bar_standing import Standing, arm_standing, part_standing
from fgf_keras.results.columns import BAR_METRICS, bar_column, bar_title, metric_title
from fgf_keras.results.interval import Interval, number, rounded, signed, with_signs, with_spread
from fgf_keras.results.metrics import PartMetrics, RunMetrics
from fgf_keras.results.protocol import as_records
from fgf_keras.results.study import Study

WHAT = (
    "Bars are class-weighted logistic regressions on numbers that need no image network, fitted on all the "
    "patients that the network may use for anything (training and validation), with the regularisation "
    "chosen by cross-validation among them, and deciding at probability 0.5."
)


_VERBS = {
    "clears": "clears its best bar",
    "above": "is not shown to clear its best bar",
    "below": "does not clear its best bar",
    "falls short": "falls short of its best bar",
}


def standing_sentence(standing: Standing, confidence: float) -> str:
    """Whether a network clears its best bar, with figures.

    Args:
        standing: beside the best bar.
        confidence: of the intervals.
    """
    difference, accuracy = standing.difference, standing.accuracy_difference
    undecided = {
        "above": ", which does not exclude 0: with so few patients this may be luck",
        "below": ", which does not exclude 0 either: it may be as good, but nothing shows that it is better",
    }
    bounds = f" ({confidence:.0%} interval {signed_interval(difference)})" if difference.is_known else ""
    return (
        f"The network {_VERBS[standing.outcome]}, a logistic regression on "
        f"{inputs_in_words(standing.bar)} alone: AUC {rounded(standing.auc.mean)} against "
        f"{rounded(standing.bar_auc.mean)}, a difference of "
        f"{signed(difference.mean)}{bounds}{undecided.get(standing.outcome, '')}. In balanced accuracy the "
        f"difference is {signed(accuracy.mean)}"
        + (f" ({signed_interval(accuracy)})." if accuracy.is_known else ".")
    )


def inputs_in_words(bar: str) -> str:
    """What a bar sees, in words."""
    known = {
        "area": "the area of the slice",
        "volume": "the volume of the tumour",
        "features": "the named features",
        "clinical": "the clinical columns",
        "features_and_clinical": "the named features and clinical columns",
    }
    return known.get(bar, bar_title(bar))


def signed_interval(interval: Interval) -> str:
    """The ends of an interval with their signs: "-0.100 to +0.050"."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def bar_lead(part: PartMetrics, confidence: float) -> list[Block]:
    """The first paragraph of the report on a network; none if there are no bars."""
    standing = part_standing(part)
    return [] if standing is None else [Text(standing_sentence(standing, confidence), lead=True)]


def bar_blocks(metrics: RunMetrics, part: PartMetrics) -> list[Block]:
    """The network and its bars on the reported part, with what they were fitted on; none without bars.

    Args:
        metrics: of the run.
        part: which part is reported.
    """
    content = metrics.content.get("bars")
    if not content:
        return []
    rows = [["the network", *(str(part[metric]) for metric in BAR_METRICS), "", ""]]
    for bar in part.bars:
        of_bar = [str(part[bar_column(metric, bar)]) for metric in BAR_METRICS]
        more = [with_signs(part[bar_column(metric, bar, difference=True)]) for metric in BAR_METRICS]
        rows.append([f"bar: {bar_title(bar)}", *of_bar, *more])
    titles = [metric_title(metric) for metric in BAR_METRICS]
    header = ["", *titles, *(f"network − bar, {title}" for title in titles)]
    caption = (
        f"The network and its bars, {part.name} patients; {metrics.confidence:.0%} intervals, those of "
        "differences paired by patient"
    )
    blocks: list[Block] = [Table(caption, header, rows), Text(f"{WHAT} {_remarks(content, part)}".strip())]
    if columns := _columns(content):
        blocks.append(Fold("What the bars weigh", [columns]))
    return blocks


def _remarks(content: dict, part: PartMetrics) -> str:
    sentences = [f"They were fitted on {content['n']} patients, {content['n_positive']} of them positive."]
    if len(part.bars) > 1:
        sentences.append("The best of them is the one with the largest AUC here, which favours it.")
    for bar, model in content["models"].items():
        if "reason" in model:
            sentences.append(f"There is no bar on {inputs_in_words(bar)}: {model['reason']}.")
        elif bar not in part.bars:
            sentences.append(f"The bar on {inputs_in_words(bar)} needs columns that these patients lack.")
        elif model["left_out"]:
            reasons = listed(f"{column} is {reason}" for column, reason in model["left_out"].items())
            sentences.append(f"Left out of the bar on {inputs_in_words(bar)}: {reasons}.")
    undefined = {bar: int(part.table.loc[bar_column("auc", bar), "undefined"]) for bar in part.bars}
    for bar, count in undefined.items():
        if count:
            sentences.append(
                f"For {count} {part.name} patients the bar on {inputs_in_words(bar)} lacks a value, and "
                "takes the mean of that column."
            )
    return " ".join(sentences)


def _columns(content: dict) -> Table | None:
    rows = []
    for bar, model in content["models"].items():
        if "reason" in model:
            continue
        rows.append([f"{bar_title(bar)} (C = {model['C']:g})", *[""] * 3])
        for column, entry in model["columns"].items():
            values = (signed(entry["coefficient"]), number(entry["mean"]), number(entry["sd"]))
            rows.append([in_words([column]), *values])
    if not rows:
        return None
    header = ["column", "logits per standard deviation", "mean", "standard deviation"]
    return Table("Coefficients of the bars, on the patients they were fitted on", header, rows)


def study_bars(study: Study) -> Table | None:
    """The bars of a comparison over splits, and each arm beside them; None without bars."""
    if study.protocol.empty:
        return None
    cells = {(row["arm"], row["figure"]): row for row in as_records(study.protocol)}
    parts = [part for part in map(study.part_of, study.metrics) if part is not None]
    bars = [
        bar for bar in (parts[0].bars if parts else []) if (study.arms[0], bar_column("auc", bar)) in cells
    ]
    if not bars:
        return None
    titles = [metric_title(metric) for metric in BAR_METRICS]
    rows = []
    for bar in bars:
        rows.append([f"bar: {bar_title(bar)}", *[""] * 4])
        own = [cells[study.arms[0], bar_column(metric, bar)] for metric in BAR_METRICS]
        rows.append(["the bar itself", *(with_spread(cell["mean"], cell["sd"]) for cell in own), "", ""])
        for arm in study.arms:
            means = [cells[arm, metric] for metric in BAR_METRICS]
            more = [cells[arm, bar_column(metric, bar, difference=True)] for metric in BAR_METRICS]
            differences = (Interval.of(cell["mean"], (cell["low"], cell["high"])) for cell in more)
            values = [with_spread(cell["mean"], cell["sd"]) for cell in means]
            rows.append([arm, *values, *map(with_signs, differences)])
    caption = (
        f"Arms and bars, {study.part} part: mean ± standard deviation over splits; differences paired by "
        f"split, with {study.config.evaluate.confidence:.0%} intervals of the corrected resampled t-test"
    )
    return Table(caption, ["", *titles, *(f"arm − bar, {title}" for title in titles)], rows)


def study_bar_blocks(study: Study) -> list[Block]:
    """The table of `study_bars` with what the bars are; none without bars."""
    table = study_bars(study)
    return [] if table is None else [table, Text(WHAT)]


def study_bar_lead(arms: list[ArmResult], confidence: float) -> list[Block]:
    """The first paragraph of the report on a comparison: each arm beside its best bar; none without bars."""
    standings = {arm.name: arm_standing(arm) for arm in arms}
    by_bar: dict[str, dict[str, dict[str, Standing]]] = {}
    for name, standing in standings.items():
        if standing is not None:
            by_bar.setdefault(standing.bar, {}).setdefault(standing.outcome, {})[name] = standing
    if not by_bar:
        return []
    sentences = []
    for bar, by_outcome in by_bar.items():
        auc = next(iter(next(iter(by_outcome.values())).values())).bar_auc.mean
        clauses = [_clause(outcome, of_arms) for outcome, of_arms in by_outcome.items()]
        sentences.append(
            f"The best bar is a regression on {inputs_in_words(bar)} alone, AUC {rounded(auc)}: "
            f"{'; '.join(clauses)}."
        )
    sentences.append(
        f"In brackets the difference in AUC from the bar with its {confidence:.0%} interval; one that "
        "includes 0 shows neither that the networks are better nor that they are worse."
    )
    return [Text(" ".join(sentences), lead=True)]


def _clause(outcome: str, of_arms: dict[str, Standing]) -> str:
    """Which arms have an outcome, each with its difference from the bar."""
    verb = _VERBS[outcome].replace("its best bar", "it")
    if len(of_arms) > 1:
        plural = {"clears": "clear", "is not": "are not", "does not": "do not", "falls": "fall"}
        verb = next(verb.replace(one, many, 1) for one, many in plural.items() if verb.startswith(one))
    differences = (f"{name} ({with_signs(standing.difference)})" for name, standing in of_arms.items())
    return f"{listed(differences)} {verb}"
