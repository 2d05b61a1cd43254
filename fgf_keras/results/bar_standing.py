"""Whether a network clears its best bar."""

from typing import Literal, NamedTuple

from fgf_keras.results.arm import ArmResult
from fgf_keras.results.columns import bar_column
from fgf_keras.results.interval import Interval
from fgf_keras.results.metrics import PartMetrics


class Standing(NamedTuple):
    """A network, or the networks of an arm, beside the bar with the largest AUC on the same patients.

    Attributes:
        bar: its name. It is the best of several on these very patients, which favours the bar.
        auc, bar_auc: of network and bar.
        difference: in AUC, network minus bar.
        accuracy_difference: in balanced accuracy.
    """

    bar: str
    auc: Interval
    bar_auc: Interval
    difference: Interval
    accuracy_difference: Interval

    @property
    def outcome(self) -> Literal["clears", "above", "below", "falls short"]:
        """By the difference in AUC: whether its interval excludes 0, and otherwise its sign."""
        if self.difference.excludes_zero:
            return "clears" if self.difference.mean > 0 else "falls short"
        return "above" if self.difference.mean > 0 else "below"


def part_standing(part: PartMetrics) -> Standing | None:
    """The standing of a network on a part of the patients; None if there are no bars."""
    bar = part.best_bar
    if bar is None:
        return None
    return Standing(
        bar,
        part["auc"],
        part[bar_column("auc", bar)],
        part[bar_column("auc", bar, difference=True)],
        part[bar_column("balanced_accuracy", bar, difference=True)],
    )


def arm_standing(arm: ArmResult) -> Standing | None:
    """The standing of the networks of an arm, over its splits; None if a trial has no bars, or none ran."""
    names = [trial.metrics.bars for trial in arm.trials.values()]
    common = [bar for bar in (names[0] if names else []) if all(bar in bars for bars in names)]
    if not common:
        return None
    bar = max(common, key=lambda name: arm.metric(bar_column("auc", name)).mean)
    return Standing(
        bar,
        arm.metric("auc"),
        arm.metric(bar_column("auc", bar)),
        arm.metric(bar_column("auc", bar, difference=True)),
        arm.metric(bar_column("balanced_accuracy", bar, difference=True)),
    )
