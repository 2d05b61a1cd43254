"""The clinical columns that the network sees beside the image, and what they do to the score."""

from typing import Any

from fgf_keras.report.document import Block, Section, Table, Text
from fgf_keras.report.words import p_text
from fgf_keras.results.interval import Interval
from fgf_keras.results.metrics import PartMetrics

OF_IMAGE = (
    "The score is the sum of two parts: one that sees the image and one that sees clinical columns. S, F, "
    "slopes, moved tumours and all other measurements with gradients or changed images are of the image "
    "part, with the clinical columns of the patient held: these move the decision boundary, but not the "
    "direction to it."
)
# An image part that varies less than this, relative to the clinical part, decides next to nothing.
LEAST_SPREAD = 0.1
DECIDED = (
    "The clinical part decides: the image part varies so little between patients that the order of their "
    "scores is almost that of the clinical columns alone. S and F describe a part that hardly takes part."
)


def clinical_section(part: PartMetrics, content: dict[str, Any] | None) -> Section | None:
    """Effects of clinical columns beside their population shares; None for a network of the image alone.

    Args:
        part: metrics of the reported part.
        content: from `results.clinical.clinical_content`.
    """
    if content is None:
        return None
    shares = {} if part.population is None else part.population.by_feature("ranks")
    rows = []
    for name, entry in content["effects"].items():
        effect = f"{entry['mean']:+.2f}" if content["is_linear"] else str(Interval.of_summary(entry))
        cells = ["–", "–"]
        if name in shares and part.population is not None:
            share, p = shares[name]
            cells = [str(share), p_text(p, part.population.permutations)]
        rows.append([name, effect, f"{entry['sd']:.2f}", *cells])
    auc, spread = content["auc"], content["spread"]
    exact = (
        "Each effect is the same for every patient, because the clinical part is a weighted sum."
        if content["is_linear"]
        else "Effects are means over patients, between half a standard deviation below and half of one above."
    )
    small = spread["image"] < LEAST_SPREAD * spread["clinical"]
    blocks: list[Block] = [
        Text(OF_IMAGE),
        *([Text(DECIDED)] if small else []),
        Text(
            f"On the {part.n} {part.name} patients, the image part alone ranks with an AUC of "
            f"{auc['image']:.2f}, the clinical part alone with {auc['clinical']:.2f}, and their sum with "
            f"{part['auc'].mean:.2f}. Over these patients the image part varies by {spread['image']:.2f} "
            f"logits (one standard deviation) and the clinical part by {spread['clinical']:.2f}."
        ),
        Table(
            f"Clinical columns, {part.n} {part.name} patients",
            ["", "effect", "1 sd", "population share", "p"],
            rows,
        ),
        Text(
            "Effect: change of the score, in logits, per standard deviation of the column over the training "
            f"patients. {exact} “1 sd” is that of the encoded column: numbers and ranks are standardised, a "
            "category is 0 or 1. Population shares are of the whole score, split over features and columns "
            "together."
        ),
    ]
    return Section("clinical", "Clinical columns", blocks)
