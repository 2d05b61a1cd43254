"""Pictures of patients: what the classifier reacts to, beside what the features are."""

import io
import textwrap
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from fgf_keras.errors import DataError
from fgf_keras.pictures.files import ShownPatient
from fgf_keras.pictures.panels import CONTOUR, OwnScales, Panel, PatientPanels, panel_pixels, patient_panels

MOST_ON_A_PAGE = 8
# Of the title of a page, characters that are as wide as a panel.
CHARACTERS_OF_A_PANEL = 26
# Of a panel as a picture of its own, px.
EDGE = 168


class PagePatient(NamedTuple):
    """A patient of a page.

    Attributes:
        patient_id: whose.
        logit: score at the patient.
        shown: its panels.
    """

    patient_id: str
    logit: float
    shown: PatientPanels


def page_patients(explanation, pictures, patients=None) -> list[PagePatient]:
    """What a page shows of some patients.

    Args:
        explanation: of the patients.
        pictures: function of row numbers to fields: image, mask, seen (what the classifier was given), and
            those of `AlignmentMeasure.fields`.
        patients: ids in the order wanted; the first eight by default.

    Raises:
        DataError: an id that is not in the explanation.
    """
    ids = list(explanation.patient_id)
    patients = ids[:MOST_ON_A_PAGE] if patients is None else [str(p) for p in patients]
    missing = [p for p in patients if p not in ids]
    if missing or not patients:
        raise DataError(f"No such patients in this explanation: {', '.join(missing[:10]) or '(none named)'}.")
    rows = np.array([ids.index(p) for p in patients])
    fields = pictures(rows)
    frame = explanation.to_frame().iloc[rows]
    return [
        page_patient(
            patient,
            {name: field[k] for name, field in fields.items()},
            frame.iloc[k],
            explanation.feature_names,
        )
        for k, patient in enumerate(patients)
    ]


def page_patient(patient, fields, row, names) -> PagePatient:
    """What a page shows of one patient.

    Args:
        patient: id.
        fields: see `panels.patient_panels`.
        row: values by name, as in `Explanation.to_frame`; its status is that of the path.
        names: of the features that are drawn.
    """
    S, F = ({name: row[f"{kind}_{name}"] for name in (*names, "joint")} for kind in "SF")
    ending = row["status"].replace("_", " ")
    return PagePatient(patient, float(row["logit"]), patient_panels(fields, names, S, F, ending, OwnScales))


def patient_page(patients: list[PagePatient], support: str, *, path=None) -> Figure:
    """One row per patient, one column per panel.

    Gradients are drawn on a scale of their own, symmetric about zero: red raises, blue lowers.

    Args:
        patients: by `page_patients`.
        support: where gradients were compared.
        path: PNG to write, or None.
    """
    titles = [panel.title for panel in patients[0].shown.panels]
    figure = Figure(figsize=(1.9 * len(titles), 2.15 * len(patients) + 0.5), layout="constrained")
    axes = figure.subplots(len(patients), len(titles), squeeze=False)
    for line, patient in zip(axes, patients):
        mask, panels = patient.shown
        for axis, panel in zip(line, panels):
            low, high = panel.limits
            axis.imshow(panel.field, cmap=panel.colours, vmin=low, vmax=high)
            axis.set_xticks([])
            axis.set_yticks([])
            if mask.min() < mask.max():
                axis.contour(mask, [0.5], colors=CONTOUR, linewidths=0.8)
            axis.set_xlabel(panel.caption, fontsize=9)
        # An id is no formula, whatever signs it has.
        line[0].set_ylabel(f"{patient.patient_id}\nlogit {patient.logit:.2f}", fontsize=9, parse_math=False)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=9)
    scales = textwrap.fill(f"Support: {support}. {SCALES}", CHARACTERS_OF_A_PANEL * len(titles))
    figure.suptitle(scales, fontsize=9)
    if path is not None:
        figure.savefig(path, dpi=130)
    return figure


SCALES = (
    "Gradients: red raises, blue lowers; ∇z, its explained part and the rest share a scale, the others have "
    "their own. Images: grey from the darkest to the brightest pixel of the tumour."
)


def shown_patients(patients: list[PagePatient]) -> list[ShownPatient]:
    """The same as single pictures, for a report."""
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


def panel_png(panel: Panel, mask) -> bytes:
    """A panel alone, at least `EDGE` px wide, with the contour of the mask (h, w), as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(panel_pixels(panel, mask, EDGE)).quantize(128).save(stream, "PNG", optimize=True)
    return stream.getvalue()
