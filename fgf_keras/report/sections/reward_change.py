"""What the reward changed, in words and as a table, if the same training was repeated without it."""

from collections.abc import Mapping
from typing import Any

from fgf_keras.report.document import Block, Fold, Table
from fgf_keras.report.words import place_of
from fgf_keras.results.columns import JOINT, metric_title, share_column
from fgf_keras.results.interval import Interval, number, or_nan, with_signs


def reward_change_sentences(content: Mapping[str, Any] | None) -> str:
    """Whether the reward moved the shares that it is for, and what became of the AUC.

    Args:
        content: `reward_change` in metrics.json, see `results.reward_change`; None if it was not measured.

    Returns:
        Sentences; empty if it was not measured.
    """
    if content is None:
        return ""
    support = content["support"]
    # The shares that the reward is for, with the sign of the change that it is to make.
    aims = [*([(JOINT, 1)] if content["rewarded"] else []), *((name, -1) for name in content["penalised"])]
    metrics = content["metrics"]
    changes = {name: _change(metrics[share_column(support, "S", name)]) for name, _ in aims}
    shares = [
        f"{'joint S' if name == JOINT else 'S of ' + name.replace('_', ' ')} {place_of(support)} "
        f"{_moved(changes[name])}, {_pair(metrics[share_column(support, 'S', name)])}"
        for name, _ in aims
    ]
    auc = _change(metrics["auc"])
    told = "; ".join([*shares, f"the AUC {_moved(auc)}, {_pair(metrics['auc'])}"])
    sentence = f"Compared with the same training without the reward: {told}."
    if not aims or not all(change.is_known for change in (*changes.values(), auc)):
        return sentence
    reached = all(changes[name].excludes_zero and changes[name].mean * sign > 0 for name, sign in aims)
    return f"{sentence} {_verdict(reached, auc)}"


def _verdict(reached: bool, auc: Interval) -> str:
    if not reached:
        return "That the reward reaches its aim is not shown."
    if auc.mean >= 0:
        return "The reward reaches its aim, and the AUC is not lower."
    if not auc.excludes_zero:
        return (
            "The reward reaches its aim; whether it costs accuracy is not shown by so few patients "
            "(protocol.repeats compares over several splits)."
        )
    return "The reward reaches its aim, at the cost of the AUC: a smaller reward.weight may keep both."


def reward_change_blocks(content: Mapping[str, Any] | None) -> list[Block]:
    """The folded table of the metrics with and without the reward; nothing if that was not measured."""
    if content is None:
        return []
    rows = [
        [metric_title(column), number(entry["without"]), number(entry["with"]), with_signs(_change(entry))]
        for column, entry in content["metrics"].items()
    ]
    caption = (
        f"The network with its reward and the same network trained without it, on the same {content['n']} "
        f"{content['part']} patients; intervals of the difference are over patients"
    )
    table = Table(caption, ["", "without the reward", "with the reward", "difference"], rows)
    return [Fold("What the reward changed", [table])]


def _change(entry: Mapping[str, Any]) -> Interval:
    return Interval.of_summary(entry["change"])


def _moved(change: Interval) -> str:
    if change.excludes_zero:
        return "is higher" if change.mean > 0 else "is lower"
    return "has not clearly changed"


def _pair(entry: Mapping[str, Any]) -> str:
    with_reward, without = (number(or_nan(entry[key])) for key in ("with", "without"))
    return f"{with_reward} instead of {without} ({with_signs(_change(entry))})"
