"""The main results of one network in short, as sentences that lead with the answer."""

from fgf_keras.config.reward import RewardConfig
from fgf_keras.report.document import Section, Terms, Tiles
from fgf_keras.report.sections.alignment import alignment_in_short, left_out_sentence, smooth_null
from fgf_keras.report.sections.controls import controls_sentence
from fgf_keras.report.sections.effects import direction_sentence
from fgf_keras.report.sections.lenses import agreement_sentence, answer_sentence
from fgf_keras.report.sections.performance import performance_sentence
from fgf_keras.report.sections.population import population_sentence
from fgf_keras.report.sections.reward import training_sentence
from fgf_keras.report.sections.reward_change import reward_change_sentences
from fgf_keras.report.words import percent, place_of
from fgf_keras.results.columns import JOINT, share_column
from fgf_keras.results.interval import Interval, rounded
from fgf_keras.results.lenses import feature_lenses, followed_features
from fgf_keras.results.metrics import PartMetrics
from fgf_keras.results.run import RunResult


def summary_section(
    result: RunResult, features: list[str], alpha: float, *, reward: RewardConfig | None = None
) -> Section:
    """What the score follows, in which direction and by how much, what it reacts to, and whether these agree.

    Args:
        result: of the evaluation.
        features: names of the features.
        alpha: significance level.
        reward: how the network was trained; None without a reward.
    """
    metrics, confidence = result.part, result.metrics.confidence
    content = result.metrics.content
    training = content.get("training", {})
    trained = "" if reward is None else training_sentence(reward, features, training)
    features_lenses = feature_lenses(result, features)
    answers = {
        "The answer": answer_sentence(features_lenses, followed_features(result, alpha)),
        "How well it does": performance_sentence(metrics, confidence),
        "What the score follows": population_sentence(metrics, alpha),
        "In which direction": direction_sentence(
            metrics, result.metrics.reference, features, result.behaviour
        ),
        "What it reacts to": alignment_in_short(metrics, features) + trained,
        "What the reward changed": reward_change_sentences(content.get("reward_change")),
        "Do these agree?": agreement_sentence(features_lenses, followed_features(result, alpha)),
        "What it needs": controls_sentence(result.controls, metrics) if result.controls else "",
        "Left out": left_out_sentence(metrics, metrics.supports[0]),
    }
    terms = Terms([(question, answer) for question, answer in answers.items() if answer])
    return Section("summary", "In short", [Tiles(_tiles(metrics, confidence)), terms])


def _tiles(metrics: PartMetrics, confidence: float) -> list[tuple[str, str, str]]:
    tiles = [
        _tile(name, metrics[key], confidence)
        for key, name in (("auc", "AUC"), ("balanced_accuracy", "balanced accuracy"))
    ]
    if metrics.population and not metrics.population.reason:
        share, _ = metrics.population.by_feature("ranks")[JOINT]
        chance = metrics.population.content["ranks"][JOINT]["chance"]
        name, value, bounds = _tile("score explained by the features, over patients", share, confidence)
        tiles.append((name, value, f"{bounds}; chance: less than {rounded(chance)}"))
    for support in metrics.supports:
        joint = metrics[share_column(support, "S", JOINT)]
        if joint.is_defined:
            name, value, bounds = _tile(
                f"reaction explained {place_of(support)} (joint S)", joint, confidence
            )
            null = smooth_null(metrics, support)
            chance_text = f"; chance: {percent(null.low)} to {percent(null.high)}" if null.is_known else ""
            tiles.append((name, value, bounds + chance_text))
    return tiles


def _tile(name: str, interval: Interval, confidence: float) -> tuple[str, str, str]:
    bounds = "too few patients for an interval"
    if interval.is_known:
        bounds = f"{confidence:.0%} interval {rounded(interval.low)} to {rounded(interval.high)}"
    return name, rounded(interval.mean), bounds
