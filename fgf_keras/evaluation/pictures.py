"""Pictures of patients: what the classifier reacts to, beside what the features are."""

import io
import math
import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from fgf_keras.errors import DataError
from fgf_keras.geometry.flow import FlowStatus

MOST_ON_A_PAGE = 8
# Pixels around the tumour that are shown with it.
MARGIN = 8
CONTOUR = "#e0a000"
# Of the title of a page, characters that are as wide as a panel.
CHARACTERS_OF_A_PANEL = 26
# Of a panel as a picture of its own, px.
EDGE = 168


@dataclass(frozen=True)
class Panel:
    """A field around a tumour.

    Attributes:
        title: what it is.
        caption: figures of this patient.
        field: (h, w).
        limits: values drawn darkest and brightest, or for a signed field bluest and reddest.
        signed: drawn in red and blue rather than in grey.
    """

    title: str
    caption: str
    field: np.ndarray
    limits: tuple[float, float]
    signed: bool


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
    shown = []
    for k, patient in enumerate(patients):
        own = {name: field[k] for name, field in fields.items()}
        status = FlowStatus(explanation.status[rows[k]])
        shown.append(panels_of(patient, own, frame.iloc[k], explanation.feature_names, status))
    return shown


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
            axis.imshow(panel.field, cmap="RdBu_r" if panel.signed else "gray", vmin=low, vmax=high)
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


def panel_png(panel: Panel, mask) -> bytes:
    """A panel alone, at least `EDGE` px wide, with the contour of the mask (h, w), as PNG."""
    from PIL import Image

    low, high = panel.limits
    share = np.clip((panel.field - low) / (high - low), 0, 1)
    colours = colormaps["RdBu_r" if panel.signed else "gray"](share, bytes=True)[..., :3]
    factor = max(1, math.ceil(EDGE / len(mask)))
    colours, inside = (np.repeat(np.repeat(a, factor, 0), factor, 1) for a in (colours, mask > 0))
    padded = np.pad(inside, 2)
    n, m = inside.shape
    # Two pixels wide, inside the tumour.
    core = np.logical_and.reduce(
        [padded[2 + i : 2 + i + n, 2 + j : 2 + j + m] for i in (-2, 0, 2) for j in (-2, 0, 2)]
    )
    colours[inside & ~core] = [int(CONTOUR[i : i + 2], 16) for i in (1, 3, 5)]
    stream = io.BytesIO()
    Image.fromarray(colours).quantize(128).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def panels_of(patient, fields, row, names, status) -> PatientPanels:
    """The panels of one patient.

    Args:
        patient: id.
        fields: (H, W, C) by name: image, mask, seen, gradient, explained, boundary; features (m, H, W, C).
        row: figures by name, as in `Explanation.to_frame`.
        names: m names of the features that are drawn.
        status: `FlowStatus` of the path.
    """
    box = _box(fields["mask"][..., 0])
    mask, image, seen, boundary = (fields[n][..., 0][box] for n in ("mask", "image", "seen", "boundary"))
    gradient, explained = (fields[name][..., 0][box] for name in ("gradient", "explained"))
    features = [field[..., 0][box] for field in fields["features"]]
    # Parts of the gradient are drawn on its scale.
    scale = _symmetric(gradient)
    change = boundary - seen
    panels = [
        Panel("slice", "", image, _of_tumour(image, mask), False),
        Panel("∇z: what raises the score", "", gradient, scale, True),
        Panel("explained by the features", _shares(row["S_joint"], row["F_joint"]), explained, scale, True),
        Panel("not explained", f"1 − S {_number(1 - row['S_joint'])}", gradient - explained, scale, True),
    ]
    panels += [
        Panel(
            f"∇ {name.replace('_', ' ')}",
            _shares(row[f"S_{name}"], row[f"F_{name}"]),
            field,
            _symmetric(field),
            True,
        )
        for name, field in zip(names, features)
    ]
    ending = status.name.lower().replace("_", " ")
    largest = np.abs(change).max()
    panels += [
        Panel("image at the boundary", ending, boundary, _of_tumour(boundary, mask), False),
        Panel("boundary − slice", f"at most {_number(largest)}", change, _symmetric(change), True),
    ]
    return PatientPanels(patient, float(row["logit"]), mask, panels)


def _of_tumour(image, mask):
    """The range inside the tumour: what lies outside may be clipped."""
    inside = image[mask > 0]
    return float(inside.min()), float(max(inside.max(), inside.min() + 1e-6))


def _symmetric(field):
    largest = float(np.abs(field).max())
    # A field of zeros, and one that is not finite, is drawn all the same.
    largest = largest if 0 < largest < math.inf else 1.0
    return -largest, largest


def _shares(pointwise, flow):
    return f"S {_number(pointwise)}  F {_number(flow)}"


def _number(value):
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _box(mask):
    """The tumour with a margin, square, inside the canvas."""
    where = np.argwhere(mask > 0)
    low, high = where.min(axis=0) - MARGIN, where.max(axis=0) + MARGIN + 1
    edge = min(int((high - low).max()), *mask.shape)
    start = [int(np.clip((a + b - edge) // 2, 0, n - edge)) for a, b, n in zip(low, high, mask.shape)]
    return tuple(slice(s, s + edge) for s in start)
