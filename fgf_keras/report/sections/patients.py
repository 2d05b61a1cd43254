"""All patients of a part in one plot and as a table, and pictures of some of them."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fgf_keras.pictures.colours import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE
from fgf_keras.pictures.files import ShownPatient
from fgf_keras.pictures.patient_page import SCALES
from fgf_keras.report.document import Block, Fold, Gallery, Page, Picture, Plot, Section, Table, Text
from fgf_keras.report.style import svg_of
from fgf_keras.report.words import in_words
from fgf_keras.results.chosen import RULE
from fgf_keras.results.columns import QUANTITIES, patient_column, share_column
from fgf_keras.results.interval import number, rounded
from fgf_keras.results.patients import defined_shares

NO_PICTURES = Text("No pictures were asked for (evaluate.pictures: 0).")


def patients_section(
    patients: pd.DataFrame, part: str, features: list[str], supports: Iterable[str], threshold: float
) -> Section:
    """All patients of a part, in one plot per support and as a table.

    Args:
        patients: content of patients.csv.
        part: name of the reported part.
        features: names of the features.
        supports: where gradients were compared.
        threshold: of the decision, a logit.
    """
    blocks: list[Block] = []
    for support in supports:
        scanned = scanned_patients(patients[patients["split"] == part], support, features)
        undefined = int(scanned[["S_joint", "F_joint"]].isna().any(axis=1).sum())
        lead = f"{len(scanned)} {part} patients from the highest score to the lowest, support “{support}”"
        alt = (
            f"{lead}: the score, S and F of all features together and of each. Joint S has median "
            f"{number(scanned['S_joint'].median())}, joint F {number(scanned['F_joint'].median())}; "
            f"{undefined} patients undefined."
        )
        caption = f"{lead}. Orange lines mark positive patients. Filled dots are S, open ones F."
        if undefined:
            caption += f" Crosses: {undefined} patients without S or F."
        name = f"every_patient_{support}"
        plot = Plot(name, alt, caption, svg_of(patients_plot(scanned, features, threshold), name))
        table = _patients_table(scanned, support, features)
        inner: list[Block] = [
            plot,
            Fold(f"The {len(scanned)} patients as a table, support “{support}”", [table]),
        ]
        # Only the first support is shown unfolded.
        blocks += inner if not blocks else [Fold(f"The same on support “{support}”", inner)]
    return Section("patients", "Patient by patient", blocks)


def scanned_patients(patients: pd.DataFrame, support: str, features: Iterable[str]) -> pd.DataFrame:
    """Patients from the highest score to the lowest, with the S and F that are averaged in tables.

    Columns: number, label, logit, probability, decision, status, S_<name> and F_<name> of each feature and
    joint, NaN where undefined.

    Args:
        patients: rows of patients.csv of a part, indexed by patient_id.
        support: where gradients were compared.
        features: names of the features.
    """
    table = patients.sort_values("logit", ascending=False, kind="stable")
    columns = {"number": np.arange(1, len(table) + 1)}
    columns |= {name: table[name] for name in ("label", "logit", "probability", "decision")}
    columns["status"] = table[patient_column(support, "status")]
    for name in ("joint", *features):
        for quantity in QUANTITIES:
            columns[f"{quantity}_{name}"] = defined_shares(table, share_column(support, quantity, name))
    return pd.DataFrame(columns, index=table.index)


def _patients_table(scanned: pd.DataFrame, support: str, features: Iterable[str]) -> Table:
    names = [f"{quantity}_{name}" for quantity in QUANTITIES for name in ("joint", *features)]
    header = [
        "patient",
        "number",
        "outcome",
        "probability",
        "decision",
        *(n.replace("_", " ") for n in names),
        "path",
    ]
    rows = [
        [
            str(patient),
            str(row["number"]),
            "positive" if row["label"] else "negative",
            rounded(row["probability"]),
            "positive" if row["decision"] else "negative",
            *(number(row[name]) for name in names),
            str(row["status"]).replace("_", " "),
        ]
        for patient, row in scanned.iterrows()
    ]
    return Table(f"Support “{support}”", header, rows)


def gallery_section(
    shown: dict[str, list[ShownPatient]],
    patients: pd.DataFrame,
    reasons: Mapping[str, str],
    note: str = "",
) -> Section:
    """Pictures of some patients: slice, gradient and its parts, the image at the boundary.

    Args:
        shown: patients with their pictures, by support.
        patients: rows of patients.csv, indexed by patient_id.
        reasons: why each of them is shown, by id; empty if it is not known.
        note: how volumes are shown; empty for slices.
    """
    blocks: list[Block] = [Text(f"How they were chosen: {RULE}")] if reasons and shown else []
    for support, shown_patients in shown.items():
        titles = ", ".join(title for title, _, _ in shown_patients[0].pictures)
        alt = f"{len(shown_patients)} patients, one row each, on support {support}: {titles}."
        rows = [
            _patient(patient, patients, support, reasons.get(patient.patient_id, ""))
            for patient in shown_patients
        ]
        gallery = Gallery(rows, f"patients_{support}.png", alt)
        lead = Text(f"Support “{support}”. {SCALES} {note}".strip())
        inner: list[Block] = [lead, gallery]
        first = support == next(iter(shown))
        blocks += inner if first else [Fold(f"The same patients on support “{support}”", inner)]
    return Section("pictures", "Patients shown", blocks or [NO_PICTURES])


def page_gallery_section(pages: dict[str, bytes], features: Iterable[str]) -> Section:
    """The same section from whole pages, for a run without single pictures.

    Args:
        pages: content of patients_<support>.png by support.
        features: names of the features.
    """
    blocks: list[Block] = []
    for support, png in pages.items():
        lead = f"Patients on support “{support}”"
        alt = (
            f"{lead}, one row each: slice with contour, gradient of the score, its part along the features, "
            f"the rest, gradients of {in_words(features)}, image at the decision boundary, what changed."
        )
        page = Page(f"patients_{support}.png", alt, f"{lead}. {SCALES}", png)
        blocks.append(page if not blocks else Fold(lead, [page]))
    return Section("pictures", "Patients shown", blocks or [NO_PICTURES])


def _patient(
    shown: ShownPatient, patients: pd.DataFrame, support: str, reason: str
) -> tuple[str, list[Picture]]:
    row = patients.loc[shown.patient_id]
    outcome, decision = (("negative", "positive")[int(row[key])] for key in ("label", "decision"))
    heading = (
        f"{shown.patient_id} – {outcome}, called {decision}, probability {rounded(row['probability'])}, "
        f"score {row['logit']:.2f}{f' ({reason})' if reason else ''}"
    )
    pictures = [
        Picture(
            title,
            caption,
            f"Patient {shown.patient_id}, support {support}: {title}. {caption}".strip(),
            png,
        )
        for title, caption, png in shown.pictures
    ]
    return heading, pictures


def patients_plot(patients: pd.DataFrame, features: list[str], threshold: float) -> Figure:
    """Plot all patients from the highest score to the lowest: the score, then S and F, joint and per feature.

    Args:
        patients: see `scanned_patients`.
        features: names of the features, one panel each below the joint share.
        threshold: of the decision, a logit.
    """
    names = ["joint", *features]
    figure = Figure(figsize=(9.4, 1.6 + 1.35 * len(names)))
    score, *panels = figure.subplots(1 + len(names), 1, sharex=True, height_ratios=[1.1, *[1] * len(names)])
    x, positive = patients["number"].to_numpy(), patients["label"].to_numpy() == 1
    size = float(np.clip(500 / len(x), 2.5, 6))
    for axes in (score, *panels):
        for position in x[positive]:
            axes.axvline(position, color=ORANGE, alpha=0.22, linewidth=max(1.0, size * 0.8), zorder=0)
        axes.grid(axis="x", visible=False)
    for members, colour, label in ((~positive, BLUE, "negative"), (positive, ORANGE, "positive")):
        score.plot(x[members], patients["logit"][members], "o", color=colour, markersize=size, label=label)
    score.axhline(threshold, color=INK, linestyle="--", linewidth=0.8, label="threshold")
    score.set_ylabel("score")
    # Above the axes, where it hides no patients.
    above = {"loc": "lower right", "bbox_to_anchor": (1, 0.96), "ncols": 3, "borderaxespad": 0}
    score.legend(**above)
    for axes, name in zip(panels, names):
        _shares_of(axes, x, patients, name, size)
        axes.set_title("all features together" if name == "joint" else name.replace("_", " "), pad=3)
    panels[0].legend(**above)
    panels[-1].set_xlabel("patients, from the highest score to the lowest (numbers as in the table)")
    panels[-1].set_xlim(0, len(x) + 1)
    return figure


def _shares_of(axes: Axes, x: np.ndarray, patients: pd.DataFrame, name: str, size: float) -> None:
    pointwise, flow = (patients[f"{kind}_{name}"].to_numpy(float) for kind in "SF")
    axes.vlines(x, pointwise, flow, color=FAINT, linewidth=1)
    axes.plot(x, pointwise, "o", color=GREEN, markersize=size, label="S")
    axes.plot(x, flow, "o", markerfacecolor="none", color=PURPLE, markersize=size, label="F")
    undefined = np.isnan(pointwise) | np.isnan(flow)
    if undefined.any():
        axes.plot(
            x[undefined], np.full(undefined.sum(), -0.12), "x", color=INK, markersize=size, label="undefined"
        )
    axes.set_ylim(-0.22 if undefined.any() else -0.08, 1.08)
    axes.set_yticks([0, 0.5, 1])
