"""Feature by feature: all lenses side by side, and what they say together."""

from fgf_keras.report.document import Block, Section, Table, Terms, Text
from fgf_keras.report.sections.effects import one_sd
from fgf_keras.report.words import in_words, p_text, percent
from fgf_keras.results.columns import feature_title
from fgf_keras.results.interval import Interval
from fgf_keras.results.lenses import FeatureLenses, feature_lenses, followed_features, leading
from fgf_keras.results.metrics import PartMetrics
from fgf_keras.results.run import RunResult

QUESTIONS = {
    "follows": (
        "How much of the difference between the scores of two patients goes with this feature? Part of the "
        "variation of the score over patients, by ranks (population share)."
    ),
    "tumour changed": (
        "What would the score be if the tumour itself were brighter, larger or longer by one standard "
        "deviation of these patients? Change in logits, on the changed image."
    ),
    "slope": (
        "What does a small change of intensities along the feature do? The slope at the image times the "
        "standard deviation in the column “1 sd”, in logits, with the other features held."
    ),
    "S": "How much of what the network reacts to, at the patient's own image, is this feature? 0 to 1.",
    "F": "The same on the way to the decision boundary.",
    "AUC lost": (
        "How much worse does the network do if the intensities inside the tumour are changed until this "
        "feature is the same for everyone? The outline stays, and with it what the network sees of size and "
        "shape there; patients who cannot be brought there are left out (collapse)."
    ),
}
# Of features with a smaller S than this the network takes no notice worth a sentence.
SMALL_SHARE = 0.05


def lenses_section(result: RunResult, features: list[str], alpha: float) -> Section:
    """The table of all lenses, with the question that each answers, and whether they agree.

    Args:
        result: of the evaluation.
        features: names of the features.
        alpha: significance level.
    """
    lenses = feature_lenses(result, features)
    columns = {
        "follows": [_share(each, result.part) for each in lenses],
        "tumour changed": [_logits(each.moved) for each in lenses],
        "slope": [_logits(each.effect) for each in lenses],
        "S": [str(each.S) for each in lenses],
        "F": [str(each.F) for each in lenses],
        "AUC lost": [_lost(each, result) for each in lenses],
    }
    # A lens that was not applied to this run has no column.
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    reference = result.metrics.reference
    sizes = [one_sd(each.name, reference) if reference else "" for each in lenses]
    header = ["", *(["1 sd"] if any(sizes) else []), *columns]
    rows = [
        [feature_title(each.name), *([size] if any(sizes) else []), *(cell or "–" for cell in cells)]
        for each, size, *cells in zip(lenses, sizes, *columns.values())
    ]
    part = result.part
    caption = f"{part.n} {part.name} patients, support “{part.supports[0]}”: mean [interval]"
    blocks: list[Block] = [Table(caption, header, rows), Terms([(n, QUESTIONS[n]) for n in columns])]
    agreement = agreement_sentence(lenses, followed_features(result, alpha), at_length=True)
    return Section("lenses", "Feature by feature", ([Text(agreement)] if agreement else []) + blocks)


def answer_sentence(lenses: list[FeatureLenses], followed: list[str]) -> str:
    """Which feature the score follows most, and in which direction; "" where that is unknown.

    Args:
        lenses: of each feature.
        followed: features with a population share beyond chance, the largest first.
    """
    if not followed:
        return ""
    by_name = {each.name: each for each in lenses}
    parts = []
    for name in leading({name: by_name[name].population.mean for name in followed}):
        lens, title = by_name[name], feature_title(name)
        change = lens.moved if lens.moved.excludes_zero else lens.effect
        side = "higher" if change.mean > 0 else "lower"
        direction = f"; the more {title}, the {side} the score" if change.excludes_zero else ""
        parts.append(f"{title} ({percent(lens.population.mean)} of its variation over patients{direction})")
    return f"The score mostly follows {' and '.join(parts)}."


def agreement_sentence(lenses: list[FeatureLenses], followed: list[str], *, at_length: bool = False) -> str:
    """Whether what the score follows is what the network reacts to; "" where one of them is unknown.

    Args:
        lenses: of each feature.
        followed: features with a population share beyond chance, see `PopulationShare.followed`.
        at_length: whether to explain a difference.
    """
    by_name = {each.name: each for each in lenses}
    reacts = leading({each.name: each.S.mean for each in lenses if each.S.mean >= SMALL_SHARE})
    decides = leading({name: by_name[name].population.mean for name in followed})
    if len(lenses) < 2 or not reacts:
        return ""
    if not decides:
        return _by_moves(lenses, by_name[reacts[0]])
    first, local = by_name[decides[0]], by_name[reacts[0]]
    if decides == reacts:
        verb = "are" if len(reacts) > 1 else "is"
        sentence = (
            f"They agree: {in_words(reacts)} {verb} what the score follows over patients and what the "
            "network reacts to at one image."
        )
    elif first.name == local.name:
        others = [name for name in (*decides, *reacts) if (name in decides) != (name in reacts)]
        sentence = (
            f"They agree on {feature_title(first.name)}, first in both, but not on {in_words(others)}: see "
            "the table below."
        )
    else:
        sentence = _difference(first, local, at_length=at_length)
    return sentence + _opposite_signs(lenses)


def _difference(first: FeatureLenses, local: FeatureLenses, *, at_length: bool) -> str:
    follows, reacts = feature_title(first.name), feature_title(local.name)
    sentence = (
        f"They differ, because they answer different questions. The score follows {follows} most "
        f"({percent(first.population.mean)} of its variation over patients; S {first.S.mean:.2f}): that is "
        "what makes the scores of patients differ. At one image, the same amount of change in the pixels "
        f"moves the score most along {reacts} (S {local.S.mean:.2f})."
    )
    if at_length and abs(first.effect.mean) < abs(local.effect.mean):
        sentence += (
            f" A feature that varies much between patients, like {follows} here, can decide the score "
            "although a small change of pixels hardly moves it."
        )
    return sentence


def _by_moves(lenses: list[FeatureLenses], local: FeatureLenses) -> str:
    """The comparison with moved tumours, where no population share is known or beyond chance."""
    moves = leading({each.name: each.moved.mean for each in lenses})
    if not moves:
        return ""
    first = next(each for each in lenses if each.name == moves[0])
    same = "also " if first.name == local.name else ""
    return (
        f"When the tumour is changed, the score moves most with {feature_title(first.name)} "
        f"({first.moved.mean:+.2f} logits per standard deviation). At one image, the same amount of change "
        f"in the pixels moves it {same}most along {feature_title(local.name)} (S {local.S.mean:.2f})."
    )


def _opposite_signs(lenses: list[FeatureLenses]) -> str:
    """A sentence on features along which tumours and intensities move the score in opposite directions."""
    opposite = [
        each.name
        for each in lenses
        if each.moved.excludes_zero and each.effect.excludes_zero and each.moved.mean * each.effect.mean < 0
    ]
    if not opposite:
        return ""
    return (
        f" For {in_words(opposite)}, the score goes one way when the tumour itself is changed and the other "
        "way when only its intensities are: the direction is that of the tumour."
    )


def _share(lens: FeatureLenses, part: PartMetrics) -> str:
    if part.population is None or not lens.population.is_defined:
        return ""
    return f"{lens.population}, {p_text(lens.population_p, part.population.permutations)}"


def _lost(lens: FeatureLenses, result: RunResult) -> str:
    if result.collapse is None or not lens.collapse.is_defined:
        return ""
    n = result.collapse["features"][lens.name]["n"]
    return str(lens.collapse) + (f", {n} patients" if n < result.part.n else "")


def _logits(change: Interval) -> str:
    return str(change) if change.is_defined else ""
