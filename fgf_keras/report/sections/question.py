"""The question of a report, and the glossary."""

from fgf_keras.report.document import Section, Terms, Text

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


def question_section() -> Section:
    """The question and the glossary."""
    return Section("question", "What was asked", [Text(QUESTION), Terms(GLOSSARY)])
