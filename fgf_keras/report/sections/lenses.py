"""Feature by feature: all lenses side by side, and what they say together."""

from fgf_keras.report.document import Block, Section, Table, Terms, Text
from fgf_keras.report.words import in_words, p_text, percent
from fgf_keras.results.columns import feature_title
from fgf_keras.results.interval import Interval
from fgf_keras.results.lenses import FeatureLenses, feature_lenses, leading
from fgf_keras.results.metrics import PartMetrics, Reference
from fgf_keras.results.run import RunResult

QUESTIONS = {
    "follows": (
        "How much of the difference between the scores of two patients goes with this feature? Part of the "
        "variation of the score over patients, by ranks (population share)."
    ),
    "tumour changed": (
        "What would the score be if the tumour itself were brighter, larger or longer by one standard "
        "deviation? Change in logits, on the changed image."
    ),
    "slope": (
        "What does a small change of intensities along the feature do? The slope at the image times one "
        "standard deviation, in logits, with the other features held."
    ),
    "S": "How much of what the network reacts to, at the patient's own image, is this feature? 0 to 1.",
    "F": "The same on the way to the decision boundary.",
    "AUC lost": "How much worse does the network do if this feature is the same for everyone? (collapse)",
}


def lenses_section(result: RunResult, features: list[str]) -> Section:
    """The table of all lenses, with the question that each answers, and whether they agree.

    Args:
        result: of the evaluation.
        features: names of the features.
    """
    lenses = feature_lenses(result, features)
    columns = {
        "follows": [_share(each, result.part) for each in lenses],
        "tumour changed": [_logits(each.moved) for each in lenses],
        "slope": [_logits(each.effect) for each in lenses],
        "S": [str(each.S) for each in lenses],
        "F": [str(each.F) for each in lenses],
        "AUC lost": [str(each.collapse) if each.collapse.is_defined else "" for each in lenses],
    }
    # A lens that was not applied to this run has no column.
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    sizes = [_one_sd(each.name, result.metrics.reference) for each in lenses]
    header = ["", *(["1 sd"] if any(sizes) else []), *columns]
    rows = [
        [feature_title(each.name), *([size or "–"] if any(sizes) else []), *(cell or "–" for cell in cells)]
        for each, size, *cells in zip(lenses, sizes, *columns.values())
    ]
    part = result.part
    caption = f"{part.n} {part.name} patients, support “{part.supports[0]}”: mean [interval]"
    blocks: list[Block] = [Table(caption, header, rows), Terms([(n, QUESTIONS[n]) for n in columns])]
    agreement = agreement_sentence(lenses, at_length=True)
    return Section("lenses", "Feature by feature", ([Text(agreement)] if agreement else []) + blocks)


def agreement_sentence(lenses: list[FeatureLenses], *, at_length: bool = False) -> str:
    """Whether what the score follows is what the network reacts to; "" where one of them is unknown.

    Args:
        lenses: of each feature.
        at_length: whether to explain a difference.
    """
    if len(lenses) < 2:
        return ""
    reacts = leading({each.name: each.S.mean for each in lenses})
    follows = leading({each.name: each.population.mean for each in lenses})
    moves = leading({each.name: each.moved.mean for each in lenses})
    decides, lens = (follows, "population") if follows else (moves, "moved")
    if not reacts or not decides:
        return ""
    by_name = {each.name: each for each in lenses}
    if both := [name for name in decides if name in reacts]:
        verb = "are" if len(both) > 1 else "is"
        return (
            f"They agree: {in_words(both)} {verb} what the score follows over patients and what the "
            "network reacts to at one image."
        )
    first, local = by_name[decides[0]], by_name[reacts[0]]
    size = (
        f"{percent(first.population.mean)} of its variation over patients"
        if lens == "population"
        else f"{first.moved.mean:+.2f} logits when the tumour is changed"
    )
    follows_text, reacts_text = feature_title(first.name), feature_title(local.name)
    sentence = (
        f"They differ, because they answer different questions. The score follows {follows_text} most "
        f"({size}; S {first.S.mean:.2f}): that is what makes the scores of patients differ. At one image the "
        f"network reacts most to {reacts_text} (S {local.S.mean:.2f}): that is which small change of "
        "intensities would move the score of this patient fastest."
    )
    if not at_length:
        return sentence
    return (
        f"{sentence} A feature that varies much between patients, like {follows_text} here, can decide the "
        "score although a small change of pixels hardly moves it."
    )


def _share(lens: FeatureLenses, part: PartMetrics) -> str:
    if part.population is None or not lens.population.is_defined:
        return ""
    return f"{lens.population}, {p_text(lens.population_p, part.population.permutations)}"


def _logits(change: Interval) -> str:
    return str(change) if change.is_defined else ""


def _one_sd(name: str, reference: Reference | None) -> str:
    sd = None if reference is None else reference.sd[name]
    if reference is None or sd is None:
        return ""
    return f"{sd:.3g}\u00a0{reference.units[name]}".rstrip()
