"""Pictures of patients: what the classifier reacts to, beside what the features are."""

import io
import math
import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from fgf_keras.errors import DataError
from fgf_keras.pictures.files import ShownPatient
from fgf_keras.pictures.panels import (
    CONTOUR,
    Panel,
    panel_pixels,
    share_text,
    shares_caption,
    tumour_box,
    tumour_range,
)

MOST_ON_A_PAGE = 8
# Of the title of a page, characters that are as wide as a panel.
CHARACTERS_OF_A_PANEL = 26
# Of a panel as a picture of its own, px.
EDGE = 168


@dataclass(frozen=True)
class PatientPanels:
    """What is shown of a patient.

    Attributes:
        patient_id: whose.
        logit: score at the patient.
        mask: (h, w), the tumour in the same box as the fields.
        panels: slice, ∇z, its parts along the features and not, ∇ of each feature, boundary, difference.
    """

    patient_id: str
    logit: float
    mask: np.ndarray
    panels: list[Panel]


def patient_panels(explanation, pictures, patients=None) -> list[PatientPanels]:
    """The panels of some patients.

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
    panels = []
    for k, patient in enumerate(patients):
        patient_fields = {name: field[k] for name, field in fields.items()}
        panels.append(panels_of(patient, patient_fields, frame.iloc[k], explanation.feature_names))
    return panels


def patient_page(shown: list[PatientPanels], support: str, *, path=None) -> Figure:
    """One row a patient, a column a panel.

    Gradients are drawn on a scale of their own, symmetric about zero: red raises, blue lowers.

    Args:
        shown: by `patient_panels`.
        support: where gradients were compared.
        path: PNG to write, or None.
    """
    titles = [panel.title for panel in shown[0].panels]
    figure = Figure(figsize=(1.9 * len(titles), 2.15 * len(shown) + 0.5), layout="constrained")
    axes = figure.subplots(len(shown), len(titles), squeeze=False)
    for line, patient in zip(axes, shown):
        for axis, panel in zip(line, patient.panels):
            low, high = panel.limits
            axis.imshow(panel.field, cmap=panel.colours, vmin=low, vmax=high)
            axis.set_xticks([])
            axis.set_yticks([])
            if patient.mask.min() < patient.mask.max():
                axis.contour(patient.mask, [0.5], colors=CONTOUR, linewidths=0.8)
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


def shown_patients(patients: list[PatientPanels]) -> list[ShownPatient]:
    """The same as single pictures, for a report."""
    return [
        ShownPatient(
            patient.patient_id,
            [(panel.title, panel.caption, panel_png(panel, patient.mask)) for panel in patient.panels],
        )
        for patient in patients
    ]


def panel_png(panel: Panel, mask) -> bytes:
    """A panel alone, at least `EDGE` px wide, with the contour of the mask (h, w), as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(panel_pixels(panel, mask, EDGE)).quantize(128).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def panels_of(patient, fields, row, names) -> PatientPanels:
    """The panels of one patient.

    Args:
        patient: id.
        fields: (H, W, C) by name: image, mask, seen, gradient, explained, boundary; features (m, H, W, C).
        row: values by name, as in `Explanation.to_frame`; its status is that of the path.
        names: m names of the features that are drawn.
    """
    box = tumour_box(fields["mask"][..., 0])
    mask, image, seen, boundary = (fields[n][..., 0][box] for n in ("mask", "image", "seen", "boundary"))
    gradient, explained = (fields[name][..., 0][box] for name in ("gradient", "explained"))
    features = [field[..., 0][box] for field in fields["features"]]
    # Parts of the gradient are drawn on its scale.
    scale = _symmetric(gradient)
    change = boundary - seen
    joint = shares_caption(row["S_joint"], row["F_joint"])
    panels = [
        Panel("slice", "", image, tumour_range(image, mask), False),
        Panel("∇z: what raises the score", "", gradient, scale, True),
        Panel("explained by the features", joint, explained, scale, True),
        Panel("not explained", f"1 − S {share_text(1 - row['S_joint'])}", gradient - explained, scale, True),
    ]
    panels += [
        Panel(
            f"∇ {name.replace('_', ' ')}",
            shares_caption(row[f"S_{name}"], row[f"F_{name}"]),
            field,
            _symmetric(field),
            True,
        )
        for name, field in zip(names, features)
    ]
    ending = row["status"].replace("_", " ")
    largest = np.abs(change).max()
    panels += [
        Panel("image at the boundary", ending, boundary, tumour_range(boundary, mask), False),
        Panel("boundary − slice", f"at most {share_text(largest)}", change, _symmetric(change), True),
    ]
    return PatientPanels(patient, float(row["logit"]), mask, panels)


def _symmetric(field):
    largest = float(np.abs(field).max())
    # A field of zeros, and one that is not finite, is drawn all the same.
    largest = largest if 0 < largest < math.inf else 1.0
    return -largest, largest
