"""Pages of patients: what the classifier reacts to, beside what the features are."""

import math

import numpy as np
from matplotlib.figure import Figure

from fgf_keras.errors import DataError
from fgf_keras.geometry.flow import FlowStatus

MOST_ON_A_PAGE = 8
# Pixels around the tumour that are shown with it.
MARGIN = 8


def patient_page(explanation, pictures, patients=None, *, path=None) -> Figure:
    """One row a patient: slice with contour, gradient of the score, its part along the features, each feature
    gradient, the image at the decision boundary.

    Gradients are drawn on a scale of their own, symmetric about zero: red raises, blue lowers.

    Args:
        explanation: of the patients.
        pictures: function of row numbers to fields, see `AlignmentMeasure.fields`.
        patients: ids in the order wanted; the first eight by default.
        path: PNG to write, or None.

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
    names = explanation.feature_names
    titles = ["slice", "∇z: what raises the score", "explained by the features"]
    titles += [f"∇ {name.replace('_', ' ')}" for name in names] + ["image at the boundary"]
    figure = Figure(figsize=(1.9 * len(titles), 2.15 * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    frame = explanation.to_frame().iloc[rows]
    for line, patient, k in zip(axes, patients, range(len(rows))):
        box = _box(fields["mask"][k, ..., 0])
        image = fields["image"][k, ..., 0][box]
        mask = fields["mask"][k, ..., 0][box]
        _grey(line[0], image, mask)
        _grey(line[-1], fields["boundary"][k, ..., 0][box], mask)
        gradient = fields["gradient"][k, ..., 0][box]
        # The explained part is drawn on the scale of the gradient that it is a part of.
        scale = np.abs(gradient).max()
        for axis, field in ((line[1], gradient), (line[2], fields["explained"][k, ..., 0][box])):
            _signed(axis, field, scale)
        for axis, field in zip(line[3:-1], fields["features"][k]):
            _signed(axis, field[..., 0][box], np.abs(field).max())
        for axis in line:
            axis.set_xticks([])
            axis.set_yticks([])
            if mask.min() < mask.max():
                axis.contour(mask, [0.5], colors="#e0a000", linewidths=0.8)
        row = frame.iloc[k]
        status = FlowStatus(explanation.status[rows[k]])
        line[0].set_ylabel(f"{patient}\nlogit {row['logit']:.2f}", fontsize=8)
        line[2].set_xlabel(f"S {_number(row['S_joint'])}  F {_number(row['F_joint'])}", fontsize=8)
        for axis, name in zip(line[3:-1], names):
            axis.set_xlabel(f"S {_number(row[f'S_{name}'])}  F {_number(row[f'F_{name}'])}", fontsize=8)
        line[-1].set_xlabel(status.name.lower().replace("_", " "), fontsize=8)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=8)
    support = explanation.settings["support"]
    figure.suptitle(
        f"Support: {support}. Gradients: red raises, blue lowers; the first two share a scale, the others "
        "have their own. Images: grey from the darkest to the brightest pixel of the tumour.",
        fontsize=8,
    )
    if path is not None:
        figure.savefig(path, dpi=130)
    return figure


def _grey(axis, image, mask):
    """On the range inside the tumour: what lies outside may be clipped."""
    inside = image[mask > 0]
    axis.imshow(image, cmap="gray", vmin=inside.min(), vmax=max(inside.max(), inside.min() + 1e-6))


def _signed(axis, field, scale):
    axis.imshow(field, cmap="RdBu_r", vmin=-(scale or 1), vmax=scale or 1)


def _number(value):
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _box(mask):
    """The tumour with a margin, square, inside the canvas."""
    where = np.argwhere(mask > 0)
    low, high = where.min(axis=0) - MARGIN, where.max(axis=0) + MARGIN + 1
    edge = min(int((high - low).max()), *mask.shape)
    start = [int(np.clip((a + b - edge) // 2, 0, n - edge)) for a, b, n in zip(low, high, mask.shape)]
    return tuple(slice(s, s + edge) for s in start)
