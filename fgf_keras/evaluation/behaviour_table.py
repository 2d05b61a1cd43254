"""What `behaviour` found, for a terminal."""

import rich.box
import rich.console
import rich.table
import rich.text

from fgf_keras.evaluation.figures import interval, rounded


def behaviour_terminal(found: dict) -> rich.console.Group:
    """A row a feature, and a sentence a support on whether S and F rank the features alike.

    Args:
        found: content of behaviour.json.
    """
    title = f"{found['split']} split: change of the score when tumours move along a feature"
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, title=title, title_justify="left")
    moved = [move for entry in found["features"].values() for move in entry["moves"]]
    amounts = sorted({move["amount"] for move in moved})
    # A name is told whole on a narrow screen too, at most a word a line.
    words = [word for name in found["features"] for word in name.split("_")]
    table.add_column("", min_width=max(map(len, words), default=0))
    for amount in amounts:
        table.add_column(f"{amount:+g} sd", justify="right")
    table.add_column("effect of 1 sd", justify="right")
    table.add_column("left out", justify="right")
    without = []
    for name, entry in found["features"].items():
        if entry["effect"]["mean"] is None:
            without.append(f"{name} ({_reason(entry)})")
            continue
        by_amount = {move["amount"]: move for move in entry["moves"]}
        changes = [_change(by_amount.get(amount), found["n"]) for amount in amounts]
        effect = interval(entry["effect"]["mean"], entry["effect"]["ci"])
        table.add_row(name.replace("_", " "), *changes, effect, f"{entry['left_out']} of {found['n']}")
    lines = [f"Not moved: {', '.join(without)}."] if without else []
    lines += [_sentence(support, agreement) for support, agreement in found["agreement"].items()]
    return rich.console.Group(*([table] if moved else []), rich.text.Text("\n".join(lines)))


def _change(move, patients):
    """The change of the score, with the number of patients where it is not that of all."""
    if move is None:
        return "–"
    count = f" ({move['n']})" if move["n"] < patients else ""
    return rounded(move["score_change"]["mean"]) + count


def _reason(entry):
    if entry["left_out"]:
        return f"no tumour could be, {entry['left_out']} left out"
    return "no known move in image space"


def _sentence(support, agreement):
    parts = []
    for kind in "SF":
        found = agreement[kind]
        if found["spearman_mean"] is None:
            parts.append(f"{kind} undefined")
        else:
            mean = interval(found["spearman_mean"], found["ci"])
            parts.append(f"{kind} {mean}, {found['n']} patients")
    return f"Rank agreement of the effects with alignment (support {support}): {'; '.join(parts)}"
