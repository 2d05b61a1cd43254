"""What a report says in words."""

import shlex
from pathlib import Path

from fgf_keras.config import Config
from fgf_keras.evaluation.figures import interval
from fgf_keras.geometry.flow_status import ENDED, FlowStatus

QUESTION = (
    "A trained network gives every patient a score. Its gradient says which small changes of the image would "
    "raise that score. A person can name features of a tumour – how bright it is, how far it extends, how "
    "elongated it is – and each of these has a gradient too. This report tells how much of the network's "
    "gradient lies along the gradients of the named features: how much of what the network reacts to can be "
    "put into those words."
)

GLOSSARY = [
    (
        "S, pointwise alignment",
        "At the patient's own image: the part of what the network reacts to that is the feature. 0: nothing "
        "of it, 1: all of it. S does not say whether the reaction is right, nor in which direction it goes.",
    ),
    (
        "F, flow alignment",
        "The same, averaged while the image is changed, along the network's own gradient, until the decision "
        "would turn: on the whole way from this patient to the decision boundary rather than at its start "
        "alone.",
    ),
    ("joint", "All named features together. Features that overlap count once."),
    (
        "squared and magnitude",
        "The squared share adds up like explained variance; the magnitude is its root, the share of the "
        "length of the gradient. The paper that describes the method reports the magnitude.",
    ),
    (
        "support",
        "Where gradients are compared. “mask”: inside the tumour, which is all that the network is shown. "
        "“image”: over the whole picture, also where its input is always zero; shares are far smaller there.",
    ),
    (
        "null",
        "What features that mean nothing would reach. “white”: independent random pixels; “smooth”: random "
        "fields of a given smoothness; “matched”: random fields as smooth as the feature's own gradient; "
        "“permutation”: the feature of another patient. The band holds 90 % of what such features reach on "
        "average over the same patients.",
    ),
    (
        "interval",
        "Bootstrap over patients: how far the figure would move with other patients of the same kind, with "
        "this one trained network. It does not say how far another training would move it.",
    ),
    (
        "undefined",
        "Where the network's gradient vanishes, there is no S or F; where the path does not end on the "
        "boundary, or F is not as accurate as asked for, there is no F. Such patients are counted and left "
        "out, never taken for 0.",
    ),
]

NULL_CAVEATS = [
    "p-values of means over patients are statements about this one network, not evidence of what training "
    "has put there: what a network does to one tumour it does to the next.",
    "Brightness, and with it the joint share, exceeds random fields even in networks that have learned "
    "nothing, because summing the input is natural to a network. Hold these against the same network trained "
    "on permuted labels, not against random fields.",
    "The white null shows that gradients are smooth, nothing more. The smooth null keeps its level for S "
    "of extent and of aspect ratio, at a length that fits the network and the pixel size.",
    "F has a bias of its own: the gradients of extent and aspect ratio turn with the image along the path, "
    "while a null stays, and that alone lets F exceed it.",
]

TRUST = (
    "Chance by random fields is a weak opponent for brightness, for the joint share and for F: networks that "
    "have learned nothing exceed it too. See “How to read the nulls”."
)

LIMITS = [
    "Alignment says what the network reacts to. It does not say that the named features cause the outcome, "
    "nor that the rest of the gradient is wrong.",
    "One slice a patient is seen: the tumour in its largest or chosen cross-section, not the volume.",
    "S and F belong to this trained network. Another seed, split or cohort gives another; a protocol of "
    "repeated splits says how much (protocol.repeats).",
    "The image at the boundary is what the network would call undecided, not what a tumour could look like.",
    "The decision threshold is chosen on validation patients; with few positive ones there it is itself "
    "uncertain.",
    "The method has no clinical validation. Do not use it for a decision about a patient.",
]


def percent(value: float) -> str:
    """A share in percent, with a digit where there is less than one of them."""
    return f"{100 * value:.0f}\u00a0%" if value >= 0.0095 else f"{100 * value:.2g}\u00a0%"


def in_words(names) -> str:
    """Names as a part of a sentence: "brightness, extent and log aspect ratio"."""
    *first, last = [name.replace("_", " ") for name in names]
    return f"{', '.join(first)} and {last}" if first else last


def of_network(split: str) -> str:
    """Whose figures these are."""
    return "patients of another cohort" if split == "external" else f"{split} patients"


def performance_sentence(held: dict, split: str, confidence: float) -> str:
    """AUC and balanced accuracy in words.

    Args:
        held: of a split, as metrics.json holds it.
        split: its name.
        confidence: of the intervals.
    """
    auc, accuracy = held["auc"], held["balanced_accuracy"]
    chance = " The interval of the AUC includes 0.5: it may be no better than chance." * (
        auc["ci"][0] <= 0.5 <= auc["ci"][1]
    )
    worse = " The AUC lies below 0.5: the score falls where it should rise." * (auc["ci"][1] < 0.5)
    return (
        f"On {held['n']} {of_network(split)}, {held['n_positive']} of them positive, which the network was "
        f"not trained on, the AUC is {interval(auc['value'], auc['ci'])} and the balanced accuracy "
        f"{interval(accuracy['value'], accuracy['ci'])} ({confidence:.0%} intervals).{chance}{worse}"
    )


def alignment_sentence(table: dict, support: str, features: list[str]) -> str:
    """How much can be put into the words, on one support.

    Args:
        table: of the support, by `alignment_table`.
        support: its name.
        features: names.
    """
    where = "inside the tumour" if support == "mask" else "over the whole picture"
    joint = table["S"]["joint"]
    if joint["squared"]["mean"] is None:
        return (
            f"Of what the network reacts to {where}, nothing can be said: S is undefined for every patient."
        )
    ratio = percent(joint["squared"]["mean"]), percent(joint["magnitude"]["mean"])
    sentence = (
        f"Of what the network reacts to {where} (support “{support}”), {ratio[0]} of the squared gradient, "
        f"{ratio[1]} of its magnitude, can be put into the words {in_words(features)}"
    )
    largest = max(features, key=lambda name: table["S"][name]["mean"])
    alone = f"; {largest.replace('_', ' ')} alone makes up {percent(table['S'][largest]['mean'])}"
    return f"{sentence}{alone if len(features) > 1 else ''}. {_chance_sentence(table)}{_flow_sentence(table)}"


def _chance_sentence(table):
    nulls = table.get("nulls", {})
    name = next((name for name in nulls if name.startswith("smooth")), None)
    held = nulls[name]["S"]["joint"] if name else {"null_mean": None}
    if held["null_mean"] is not None:
        return (
            f"Random smooth fields would reach {percent(held['null_mean'])} of the squared gradient by "
            f"chance ({percent(held['null_q05'])} to {percent(held['null_q95'])}). "
        )
    return f"White noise would reach {percent(table['white']['joint']['expected'])} by chance. "


def _flow_sentence(table):
    joint = table["F"]["joint"]["squared"]["mean"]
    if joint is None:
        return "On the way to the decision boundary it is undefined for every patient."
    return f"On the way to the decision boundary it is {percent(joint)}."


def left_out_sentence(table: dict) -> str:
    """Who is left out of the means of a support, and why."""
    undefined, n = table["undefined"], table["n"]
    if not any(undefined.values()):
        return f"None of the {n} patients is left out: S and F are defined for all of them.{_accuracy(table)}"
    reasons = [
        f"{table['status'][status.name.lower()]} {status.name.lower().replace('_', ' ')} ({status.sentence})"
        for status in FlowStatus
        # Tables of earlier versions have fewer statuses.
        if status not in ENDED and table["status"].get(status.name.lower())
    ]
    return (
        f"Of {n} patients, {undefined['S']} are left out of S and {undefined['F']} out of F, because these "
        f"are undefined there: {'; '.join(reasons) or 'values that are not finite'}.{_accuracy(table)}"
    )


def _accuracy(table):
    """How accurate F is, and whether paths lead far away; "" of tables of earlier versions."""
    if table.get("flow_error") is None:
        return ""
    away = (
        " Paths longer than twice the norm of their image, which end unlike any that was trained on: "
        f"{table['far']}."
    )
    away = away if table["far"] else ""
    return f" The estimated error of F is {max(table['flow_error'], 1e-4):.4f} or less.{away}"


def imbalance_sentence(config: Config) -> str:
    """What the training does to probabilities."""
    if config.train.imbalance == "none":
        return "Both classes counted as often as they are there, so that probabilities can be read as such."
    how = (
        "class weights"
        if config.train.imbalance == "class_weights"
        else "batches of as many positive patients as others"
    )
    return (
        f"The network was trained with {how} (train.imbalance: {config.train.imbalance}), as if half of all "
        "patients were positive. Where they are fewer, its probabilities are too high by design: they rank "
        "patients, they are no risks. A curve to the right of the diagonal is expected."
    )


def command_line(argv: list[str]) -> str:
    """What a user typed, from `sys.argv`, to be typed again; where the program lies is left out."""
    script = Path(argv[0])
    if script.name == "__main__.py":
        program = ["python", "-m", "fgf_keras"]
    else:
        program = ["python", script.name] if script.suffix == ".py" else [script.name]
    return shlex.join([*program, *argv[1:]])
