"""What the score follows over patients, in words and as a table."""

from fgf_keras.report.document import Block, Section, Table, Text
from fgf_keras.report.words import in_words, p_text, percent
from fgf_keras.results.columns import JOINT, feature_title
from fgf_keras.results.interval import Interval, number
from fgf_keras.results.metrics import PartMetrics
from fgf_keras.results.population import BENDS, FLEXIBLE, INTERACTIONS, PopulationShare

LEAD = (
    "The gradient says what the score reacts to at one image. Another question is what makes the score of "
    "one patient differ from that of another. The population share answers it without gradients: the part "
    "of the variation of the score over patients that the values of the features explain (R² of their "
    "ranks, and linear), split over the features so that overlapping ones share what both explain (LMG, the "
    "Shapley values of R²). “Alone” is what only that feature explains."
)
INTERVALS = (
    "Chance: 95 % of random assignments of scores to patients explain less than this; p is the part of them "
    "that reaches the share. The interval resamples patients. A resample explains a little more than the "
    "patients themselves, so p, not the interval, tells whether there is a share at all."
)
# Shares of bends and interactions below this are not worth a sentence.
_WORTH_SAYING = 0.05


def population_section(metrics: PartMetrics, alpha: float) -> Section | None:
    """The population share of a part; None for files of earlier versions.

    Args:
        metrics: of the reported part.
        alpha: significance level.
    """
    population = metrics.population
    if population is None:
        return None
    blocks: list[Block] = [Text(LEAD)]
    if population.reason:
        blocks.append(Text(f"It could not be measured: {population.reason}"))
        return _section(blocks)
    table, draws = population.to_frame(), population.permutations
    blocks.append(Text(population_sentence(metrics, alpha)))
    rows = []
    for scale in ("ranks", "linear"):
        rows.append([scale, *[""] * 4])
        for _, row in table[table["scale"] == scale].iterrows():
            name = "all features" if row["feature"] == JOINT else feature_title(row["feature"])
            alone = "–" if row["feature"] == JOINT else number(row["unique"])
            rows.append(
                [name, str(Interval.of_means(row)), alone, number(row["chance"]), p_text(row["p"], draws)]
            )
    caption = f"Population share, {population.content['n']} {metrics.name} patients"
    header = ["", "share [interval]", "alone", "chance", "p"]
    return _section([*blocks, Table(caption, header, rows), Text(INTERVALS), *_flexible(population)])


def population_sentence(metrics: PartMetrics, alpha: float) -> str:
    """What the score follows, in one or two sentences; "" for files of earlier versions.

    Args:
        metrics: of a part.
        alpha: significance level.
    """
    population = metrics.population
    if population is None:
        return ""
    if population.reason:
        return f"What the score follows over patients could not be measured: {population.reason}"
    shares = population.by_feature("ranks")
    joint, p = shares.pop(JOINT)
    patients = f"Over the {population.content['n']} {metrics.name} patients"
    if p > alpha:
        return (
            f"{patients}, the score follows the named features no more than chance would have it: their "
            f"values explain {percent(joint.mean)} of its variation ({p_text(p, population.permutations)})."
            f"{_beyond_sum(population)}"
        )
    above = {name: share for name, (share, p) in shares.items() if p <= alpha}
    parts = [
        f"{feature_title(name)} for {_with_bounds(share)}"
        for name, share in sorted(above.items(), key=lambda item: -item[1].mean)
    ]
    if len(shares) > 1 or not parts:
        parts.append(f"all named features together for {_with_bounds(joint)}")
    others = [name for name in shares if name not in above]
    chance = f"; {in_words(others)} for no more than chance" if others and above else ""
    first, *rest = parts
    first = (
        first.replace(" for ", " accounts for ", 1) if above else first.replace(" for ", " account for ", 1)
    )
    listed = "".join(f", {part}" for part in rest)
    return f"{patients}, {first} of the variation of the score{listed}{chance}.{_beyond_sum(population)}"


def _section(blocks: list[Block]) -> Section:
    return Section("population", "What the score follows over patients", blocks)


def _with_bounds(share: Interval) -> str:
    if not share.is_known:
        return percent(share.mean)
    return f"{percent(share.mean)} [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _flexible(population: PopulationShare) -> list[Block]:
    content = population.content[FLEXIBLE]
    if content is None:
        return [Text("There are too few patients for a surrogate with bends and interactions.")]
    share = {key: Interval.of(entry["share"], entry["ci"]) for key, entry in content.items()}
    return [
        Text(
            "A weighted sum misses features whose influence bends (rises, then falls) or depends on another "
            "feature. A flexible surrogate – a curve for each feature and products of pairs, fitted to some "
            "patients and judged on the others – explains "
            f"{_with_bounds(share[JOINT])}; of this, bends add {_with_bounds(share[BENDS])} and "
            f"interactions {_with_bounds(share[INTERACTIONS])} to a weighted sum."
        )
    ]


def _beyond_sum(population: PopulationShare) -> str:
    content = population.content[FLEXIBLE]
    if content is None:
        return ""
    added = [
        f"{_with_bounds(Interval.of(content[key]['share'], content[key]['ci']))} more {words}"
        for key, words in (
            (BENDS, "by bends"),
            (INTERACTIONS, "by interactions: how it uses one feature depends on another"),
        )
        if content[key]["share"] >= _WORTH_SAYING and content[key]["ci"][0] > 0
    ]
    return f" A flexible surrogate explains {' and '.join(added)}." if added else ""
