"""What the reward changed, in words and as a table, if the same training was repeated without it."""

from collections.abc import Mapping
from typing import Any

from fgf_keras.report.document import Block, Fold, Table
from fgf_keras.report.words import in_words, place_of
from fgf_keras.results.columns import BAR_METRICS, JOINT, metric_title, share_column, share_of
from fgf_keras.results.interval import Interval, number, or_nan, with_signs


def reward_change_sentences(content: Mapping[str, Any] | None) -> str:
    """Whether the reward moved the shares that it is for, and whether that cost accuracy.

    Args:
        content: `reward_change` in metrics.json, see `results.reward_change`; None if it was not measured.

    Returns:
        Sentences; empty if it was not measured.
    """
    if content is None:
        return ""
    support, metrics = content["support"], content["metrics"]
    aims = _aims(content)
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
    lost = [metric_title(name) for name in BAR_METRICS if _change(metrics[name]).high < 0]
    return f"{sentence} {_verdict(reached, lost)}"


def _aims(content: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The shares that the reward is for, with the sign of the change that it is to make.

    All features together if it is on all of them; otherwise that share may move by one it is not on.
    """
    shares = (share_of(column) for column in content["metrics"])
    measured = {share.feature for share in shares if share} - {JOINT}
    rewarded = content["rewarded"]
    raised = [JOINT] if rewarded and measured <= set(rewarded) else rewarded
    return [*((name, 1) for name in raised), *((name, -1) for name in content["penalised"])]


def _verdict(reached: bool, lost: list[str]) -> str:
    if not reached:
        return "That the reward reaches its aim is not shown."
    if lost:
        cost = in_words(lost)
        return f"The reward reaches its aim, at the cost of {cost}: a smaller reward.weight may keep both."
    return (
        "The reward reaches its aim, and no loss of accuracy is shown; protocol.repeats compares over "
        "several splits, which show smaller ones."
    )


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
