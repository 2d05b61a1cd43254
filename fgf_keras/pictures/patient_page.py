"""Pages of patients: the gradient of the score next to the gradients of the features."""

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from fgf_keras.pictures.files import ShownPatient
from fgf_keras.pictures.panels import (
    CONTOUR,
    OUTSIDE,
    OUTSIDE_NOTE,
    OwnScales,
    Panel,
    PatientPanels,
    patient_panels,
    see_through_pixels,
)

if TYPE_CHECKING:
    import pandas as pd

    from fgf_keras.measure.explanation import Explanation

MOST_ON_A_PAGE = 8
# Characters of the title of a page that fit the width of one panel.
CHARACTERS_PER_PANEL = 26
# Least edge of a panel as a single picture, px.
EDGE = 168


class PagePatient(NamedTuple):
    """A patient of a page.

    Attributes:
        patient_id: id of the patient.
        logit: score of the patient.
        shown: the panels.
    """

    patient_id: str
    logit: float
    shown: PatientPanels


def page_patients(
    explanation: "Explanation",
    pictures: Any,
    patients: Iterable[str] | None = None,
) -> list[PagePatient]:
    """The content of a page of patients.

    Args:
        explanation: of the patients.
        pictures: function of row numbers that returns fields: image, mask, seen (the input of the
            classifier), and those of `AlignmentMeasure.fields`; of volumes also spacing.
        patients: ids in the order in which they are shown; by default the first eight.

    Raises:
        DataError: an id that is not in the explanation.
    """
    rows = explanation.rows_of(
        explanation.patient_id[:MOST_ON_A_PAGE] if patients is None else list(patients)
    )
    fields = pictures(rows)
    frame = explanation.to_frame().iloc[rows]
    return [
        page_patient(
            str(patient),
            {name: field[k] for name, field in fields.items()},
            frame.iloc[k],
            explanation.feature_names,
        )
        for k, patient in enumerate(explanation.patient_id[rows])
    ]


def page_patient(
    patient: str, fields: Mapping[str, Any], row: "Mapping[str, Any] | pd.Series", names: Sequence[str]
) -> PagePatient:
    """The content of a page for one patient.

    Args:
        patient: id of the patient.
        fields: see `panels.patient_panels`.
        row: values by name, as in `Explanation.to_frame`; "status" is that of the path.
        names: of the features that are drawn.
    """
    S, F = ({name: row[f"{kind}_{name}"] for name in (*names, "joint")} for kind in "SF")
    ending = row["status"].replace("_", " ")
    return PagePatient(patient, float(row["logit"]), patient_panels(fields, names, S, F, ending, OwnScales))


def patient_page(patients: list[PagePatient], support: str, *, path: str | Path | None = None) -> Figure:
    """Draw a page with one row per patient and one column per panel.

    Each gradient has its own scale, symmetric about zero: red raises, blue lowers.

    Args:
        patients: see `page_patients`.
        support: where gradients were compared.
        path: PNG file to write, or None.
    """
    titles = [panel.title for panel in patients[0].shown.panels]
    figure = Figure(figsize=(1.9 * len(titles), 2.15 * len(patients) + 0.5), layout="constrained")
    axes = figure.subplots(len(patients), len(titles), squeeze=False)
    for line, patient in zip(axes, patients):
        mask, panels = patient.shown.mask, patient.shown.panels
        for axis, panel in zip(line, panels):
            low, high = panel.limits
            axis.imshow(panel.field, cmap=panel.colours, vmin=low, vmax=high)
            if panel.marked is not None:
                tint = np.ma.masked_where(~panel.marked, np.ones_like(panel.field))
                axis.imshow(tint, cmap=ListedColormap([OUTSIDE]), alpha=0.6)
            axis.set_xticks([])
            axis.set_yticks([])
            if mask.min() < mask.max():
                axis.contour(mask, [0.5], colors=CONTOUR, linewidths=0.8)
            axis.set_xlabel(panel.caption, fontsize=9)
        # An id is never a formula, even if it contains dollar signs.
        line[0].set_ylabel(f"{patient.patient_id}\nlogit {patient.logit:.2f}", fontsize=9, parse_math=False)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=9)
    scales = f"Support: {support}. {SCALES} {patients[0].shown.note}".strip()
    scales = textwrap.fill(scales, CHARACTERS_PER_PANEL * len(titles))
    figure.suptitle(scales, fontsize=9)
    if path is not None:
        figure.savefig(path, dpi=130)
    return figure


SCALES = (
    "Gradients: red raises, blue lowers; ∇z, its explained part and the rest share a scale, the others have "
    "their own. Images: grey from the darkest to the brightest pixel of the tumour. " + OUTSIDE_NOTE
)


def shown_patients(patients: list[PagePatient]) -> list[ShownPatient]:
    """The patients of a page as single pictures, for a report."""
    return [
        ShownPatient(
            patient.patient_id,
            [
                (panel.title, panel.caption, panel_png(panel, patient.shown.mask))
                for panel in patient.shown.panels
            ],
        )
        for patient in patients
    ]


def panel_png(panel: Panel, mask: np.ndarray) -> bytes:
    """A single panel as PNG, at least `EDGE` px wide, with the contour of the mask (h, w).

    Gradients are transparent where they are near zero.
    """
    from PIL import Image

    stream = io.BytesIO()
    picture = Image.fromarray(see_through_pixels(panel, mask, EDGE))
    # The only method of Pillow that keeps transparency.
    picture.quantize(128, method=Image.Quantize.FASTOCTREE).save(stream, "PNG", optimize=True)
    return stream.getvalue()
