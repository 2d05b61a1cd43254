"""The sections of a report on patients one by one."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from fgf_keras.evaluation.figures import number, rounded
from fgf_keras.evaluation.pictures import SCALES, PatientPanels, panel_png
from fgf_keras.evaluation.report_blocks import Fold, Gallery, Picture, Plot, Section, Table, Text
from fgf_keras.evaluation.report_plots import patients_plot
from fgf_keras.evaluation.report_style import svg_of
from fgf_keras.geometry.flow_status import ENDED


def patients_section(
    patients: pd.DataFrame, metrics: dict, split: str, features: list[str], supports
) -> Section:
    """Every patient of a split in one plot for each support, and as a table."""
    blocks = []
    for support in supports:
        scanned = scanned_patients(patients[patients["split"] == split], support, features)
        undefined = int(scanned[["S_joint", "F_joint"]].isna().any(axis=1).sum())
        told = f"{len(scanned)} {split} patients from the highest score to the lowest, support “{support}”"
        alt = (
            f"{told}: the score, S and F of all features together and of each. Joint S has median "
            f"{number(scanned['S_joint'].median())}, joint F {number(scanned['F_joint'].median())}; "
            f"{undefined} patients undefined."
        )
        caption = f"{told}. Orange lines mark positive patients. Filled dots are S, open ones F."
        if undefined:
            caption += f" Crosses: {undefined} patients without S or F."
        plot = Plot(
            f"every_patient_{support}",
            alt,
            caption,
            svg_of(
                patients_plot(scanned, features, metrics["threshold"]["logit"]), f"every_patient_{support}"
            ),
        )
        table = _patients_table(scanned, support, features)
        inner = [plot, Fold(f"The {len(scanned)} patients as a table, support “{support}”", [table])]
        # The first support is the one to look at.
        blocks += inner if not blocks else [Fold(f"The same on support “{support}”", inner)]
    return Section("patients", "Patient by patient", blocks)


def scanned_patients(patients: pd.DataFrame, support: str, features: Iterable[str]) -> pd.DataFrame:
    """Patients from the highest score to the lowest, with the S and F that tables average.

    Columns: number, label, logit, probability, decision, status, S_<name> and F_<name> of each feature and
    joint, NaN where undefined.

    Args:
        patients: of a split, as patients.csv holds them, by patient_id.
        support: where gradients were compared.
        features: names.
    """
    table = patients.sort_values("logit", ascending=False, kind="stable")
    ended = table[f"{support}.status"].isin([status.name.lower() for status in ENDED])
    columns = {"number": np.arange(1, len(table) + 1)}
    columns |= {name: table[name] for name in ("label", "logit", "probability", "decision")}
    columns["status"] = table[f"{support}.status"]
    for name in ("joint", *features):
        columns[f"S_{name}"] = table[f"{support}.S_{name}"]
        # The mean over a path that did not end says nothing about the boundary.
        columns[f"F_{name}"] = table[f"{support}.F_{name}"].where(ended)
    return pd.DataFrame(columns, index=table.index)


def _patients_table(scanned, support, features):
    names = [f"{kind}_{name}" for kind in "SF" for name in ("joint", *features)]
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


def gallery_section(shown: dict[str, list[PatientPanels]], patients: pd.DataFrame) -> Section:
    """Some patients: slice, gradient and its parts, the image at the boundary.

    Args:
        shown: by support.
        patients: as patients.csv holds them, by patient_id.
    """
    blocks = []
    for support, panels in shown.items():
        alt = f"{len(panels)} patients, a row each, on support {support}: {_titles(panels[0])}."
        gallery = Gallery(
            [_patient(each, patients, support) for each in panels], f"patients_{support}.png", alt
        )
        lead = Text(f"Support “{support}”. {SCALES}")
        blocks += (
            [lead, gallery]
            if not blocks
            else [Fold(f"The same patients on support “{support}”", [lead, gallery])]
        )
    if not blocks:
        blocks = [Text("No pictures were asked for (evaluate.pictures: 0).")]
    return Section("pictures", "Patients shown", blocks)


def _titles(patient):
    return ", ".join(panel.title for panel in patient.panels)


def _patient(shown, patients, support):
    row = patients.loc[shown.patient_id]
    outcome, decision = (("negative", "positive")[int(row[key])] for key in ("label", "decision"))
    heading = (
        f"{shown.patient_id} – {outcome}, called {decision}, probability {rounded(row['probability'])}, "
        f"score {shown.logit:.2f}"
    )
    pictures = [
        Picture(
            panel.title,
            panel.caption,
            f"Patient {shown.patient_id}, support {support}: {panel.title}. {panel.caption}".strip(),
            panel_png(panel, shown.mask),
        )
        for panel in shown.panels
    ]
    return heading, pictures
