"""Waterfalls: the scores of the patients shown as sums over the features."""

import pandas as pd

from fgf_keras.pictures.waterfall import Contributions, waterfalls
from fgf_keras.report.document import Block, Plot
from fgf_keras.report.style import svg_of
from fgf_keras.results.metrics import Reference


def waterfall_blocks(
    patients: pd.DataFrame, shown: list[str], features: list[str], reference: Reference, support: str
) -> list[Block]:
    """The waterfalls of the patients shown on one support; none where F is undefined for all of them.

    Args:
        patients: rows of patients.csv, indexed by patient_id.
        shown: ids of the patients.
        features: names of the features.
        reference: with the units of the features.
        support: where gradients were compared.
    """
    rows = patients.loc[shown].rename(columns=lambda column: str(column).removeprefix(f"{support}."))
    known = rows[rows["unexplained"].notna()]
    if known.empty:
        return []
    sums = [
        Contributions.of(str(patient), row, features, reference.units) for patient, row in known.iterrows()
    ]
    name = f"contributions_{support}"
    left_out = len(rows) - len(known)
    caption = (
        f"Support “{support}”. From the score of each patient shown down to the decision boundary at 0. "
        "Orange raises the score, blue lowers it, grey is explained by no feature; beside each feature, how "
        "it changes on the way to the boundary."
    )
    if any(each.far for each in sums):
        caption += (
            " Paths marked “very long” are longer than twice the norm of their image: they end unlike any "
            "image that was trained on, so their sums describe the network, not the patient."
        )
    if left_out:
        caption += f" Left out: {left_out} for whom F is undefined."
    alt = "Scores as sums. " + " ".join(f"{each.patient_id}: {each.sentence}." for each in sums)
    return [Plot(name, alt, caption, svg_of(waterfalls(sums), name))]
