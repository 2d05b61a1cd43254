"""The main results of one network in short."""

from fgf_keras.report.document import Bullets, Section, Tiles
from fgf_keras.report.sections.alignment import alignment_sentence, left_out_sentence
from fgf_keras.report.sections.effects import direction_sentence
from fgf_keras.report.sections.performance import performance_sentence
from fgf_keras.report.words import TRUST
from fgf_keras.results.columns import share_column
from fgf_keras.results.interval import Interval, rounded
from fgf_keras.results.run import RunResult


def summary_section(result: RunResult, features: list[str]) -> Section:
    """The main metrics, and the same in words.

    Args:
        result: of the evaluation.
        features: names of the features.
    """
    metrics, confidence = result.part, result.metrics.confidence
    tiles = [
        _tile(name, metrics[key], confidence)
        for key, name in (("auc", "AUC"), ("balanced_accuracy", "balanced accuracy"))
    ]
    sentences = [performance_sentence(metrics, confidence)]
    direction = direction_sentence(metrics, result.metrics.reference, features, result.behaviour)
    if direction is not None:
        sentences.append(direction)
    for support in metrics.supports:
        joint = metrics[share_column(support, "S", "joint_magnitude")]
        if joint.is_defined:
            tiles.append(_tile(f"gradient in words (magnitude), support {support}", joint, confidence))
        sentences.append(alignment_sentence(metrics, support, features))
    sentences += [left_out_sentence(metrics, metrics.supports[0]), TRUST]
    return Section("summary", "In short", [Tiles(tiles), Bullets(sentences)])


def _tile(name: str, interval: Interval, confidence: float) -> tuple[str, str, str]:
    bounds = f"{confidence:.0%} interval {rounded(interval.low)} to {rounded(interval.high)}"
    return name, rounded(interval.mean), bounds
