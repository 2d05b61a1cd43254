"""Negative controls: what is left of the AUC and of the alignment on tumours without texture."""

from typing import Any

from fgf_keras.report.document import Block, Section, Table, Text
from fgf_keras.report.words import of_network, percent
from fgf_keras.results.columns import JOINT, feature_title
from fgf_keras.results.interval import UNDEFINED, Interval, number, signed
from fgf_keras.results.metrics import PartMetrics

LEAD = (
    "The same network was asked about the same patients with less and less in their images: every pixel of a "
    "tumour replaced by the tumour's mean; the pixels of a tumour in random order; and the bare mask, filled "
    "with the same intensity for everyone, so that only the outline is left. What survives did not need what "
    "was taken away."
)
TITLES = {
    "averaged": "tumour replaced by its mean",
    "shuffled": "pixels shuffled inside the tumour",
    "bare_mask": "bare mask",
}


def controls_section(content: dict[str, Any], metrics: PartMetrics) -> Section:
    """AUC, alignment, effects and population share on the images of each control.

    Args:
        content: of controls.json.
        metrics: of the reported part.
    """
    rows = [["unchanged", number(metrics["auc"].mean), "–", number(metrics["balanced_accuracy"].mean)]]
    for name, entry in content["controls"].items():
        auc = entry["auc"]
        loss = Interval.of_summary(auc["drop"])
        rows.append(
            [TITLES[name], number(auc["after"]), str(loss), number(entry["balanced_accuracy"]["after"])]
        )
    caption = f"{content['n']} {of_network(content['split'])}: AUC, its loss [interval, same patients]"
    blocks: list[Block] = [
        Text(LEAD),
        Text(controls_sentence(content, metrics)),
        Table(caption, ["", "AUC", "loss of AUC", "balanced accuracy"], rows),
        _lenses_table(content),
    ]
    return Section("controls", "What does the network need?", blocks)


def controls_sentence(content: dict[str, Any], metrics: PartMetrics) -> str:
    """Whether the AUC survives without texture, and with the outline alone.

    Args:
        content: of controls.json.
        metrics: of the reported part.
    """
    auc = metrics["auc"]
    if not auc.is_known or auc.low <= 0.5:
        return (
            "Whether the network needs the texture cannot be said: its AUC is not clearly above 0.5, so that "
            "there is nothing to lose."
        )
    of_control = content["controls"]
    texture = {
        name: Interval.of_summary(of_control[name]["auc"]["drop"]) for name in ("averaged", "shuffled")
    }
    return f"{_texture(content, texture, auc)}. {_outline(of_control['bare_mask']['auc'])}"


def _texture(content: dict[str, Any], losses: dict[str, Interval], auc: Interval) -> str:
    """Decided by the averaged tumours: shuffled pixels are a texture too, though one never seen before."""
    flat, mixed = (number(content["controls"][name]["auc"]["after"]) for name in losses)
    loss = losses["averaged"]
    numbers = f"{flat} with every tumour replaced by its mean, {mixed} with its pixels shuffled"
    if _is_none(loss):
        return (
            f"The AUC survives without texture ({numbers}, {number(auc.mean)} unchanged): what the network "
            "achieves does not need the texture"
        )
    if loss.is_known and loss.low > 0:
        return f"Without texture the AUC falls to {flat} (loss {loss}): the network uses the texture"
    if loss.is_known and loss.high < 0:
        return (
            f"Without texture the AUC rises to {flat} (loss {loss}): the network reacts to texture, to its "
            "disadvantage"
        )
    return f"Whether the network needs the texture, these patients do not decide ({numbers}; loss {loss})"


def _outline(auc: dict[str, Any]) -> str:
    after, loss = number(auc["after"]), Interval.of_summary(auc["drop"])
    if _is_none(loss):
        return f"The bare outline is enough for an AUC of {after}."
    if loss.is_known and loss.low > 0:
        return f"With the bare outline the AUC falls to {after} (loss {loss})."
    return f"With the bare outline the AUC is {after} (loss {loss})."


# A loss of AUC is none if its whole interval is closer to 0 than this.
_NO_LOSS = 0.05


def _is_none(loss: Interval) -> bool:
    return loss.is_known and loss.low > -_NO_LOSS and loss.high < _NO_LOSS


def _lenses_table(content: dict[str, Any]) -> Table:
    """S, F, effect and population share of each feature, on the unchanged images and on each control."""
    lenses = {"unchanged": content["original"]}
    lenses |= {TITLES[name]: entry for name, entry in content["controls"].items()}
    rows: list[list[str]] = []
    for title, entry in lenses.items():
        rows.append([title, *[""] * 4])
        shares = entry["population"].get("ranks", {})
        for name in entry["S"]:
            share = shares.get(name, {}).get("share")
            effect = Interval.of_summary(entry["effects"][name]) if name != JOINT else UNDEFINED
            rows.append(
                [
                    "all features" if name == JOINT else feature_title(name),
                    "–" if share is None else percent(share),
                    signed(effect.mean) if effect.is_defined else "–",
                    number(entry["S"][name]["mean"]),
                    number(entry["F"][name]["mean"]),
                ]
            )
    caption = f"The lenses on each, support “{content['support']}”: means over patients"
    return Table(caption, ["", "population share", "effect of 1 sd", "S", "F"], rows)
