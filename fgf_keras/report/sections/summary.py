"""What a reader with one minute takes away of one network."""

from fgf_keras.report.document import Bullets, Section, Tiles
from fgf_keras.report.sections.alignment import alignment_sentence, left_out_sentence
from fgf_keras.report.sections.performance import performance_sentence
from fgf_keras.report.words import TRUST
from fgf_keras.results.columns import share_column
from fgf_keras.results.interval import rounded
from fgf_keras.results.metrics import PartMetrics


def summary_section(metrics: PartMetrics, features: list[str], confidence: float) -> Section:
    """The headline metrics, and what they say in words.

    Args:
        metrics: of the part that is reported.
        features: names.
        confidence: of the intervals.
    """
    tiles = [
        _tile(name, metrics[key], confidence)
        for key, name in (("auc", "AUC"), ("balanced_accuracy", "balanced accuracy"))
    ]
    sentences = [performance_sentence(metrics, confidence)]
    for support in metrics.supports:
        joint = metrics[share_column(support, "S", "joint_magnitude")]
        if joint.is_defined:
            tiles.append(_tile(f"gradient in words (magnitude), support {support}", joint, confidence))
        sentences.append(alignment_sentence(metrics, support, features))
    sentences += [left_out_sentence(metrics, metrics.supports[0]), TRUST]
    return Section("summary", "In short", [Tiles(tiles), Bullets(sentences)])


def _tile(name, interval, confidence):
    bounds = f"{confidence:.0%} interval {rounded(interval.low)} to {rounded(interval.high)}"
    return name, rounded(interval.mean), bounds
