"""The work of `fgf explain`: send images to an exported model and write its explanation of each patient."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rich.table

from fgf_keras.config import DataConfig, overridden, parse_config
from fgf_keras.config.clinical import ClinicalColumn, columns_like
from fgf_keras.data.clinical_table import read_clinical
from fgf_keras.data.prepared.pseudonym import Names
from fgf_keras.data.unlabelled import Unlabelled, unlabelled_slices
from fgf_keras.errors import DataError
from fgf_keras.files import write_json
from fgf_keras.flow.status import ENDED, FlowStatus
from fgf_keras.pictures.patient_page import PagePatient, page_patient, patient_page
from fgf_keras.progress import console
from fgf_keras.serving.input_status import InputStatus
from fgf_keras.serving.load import ServedExplanation, ServedModel, load_saved_model

if TYPE_CHECKING:
    import pandas as pd

# Patients per request.
TOGETHER = 16
# An override of one of these replaces the rule for the tumour as a whole.
_REGION = ("data.roi.names=", "data.roi.pattern=", "data.roi.table")


def explain_images(
    saved_model: str | Path,
    images: str | Path,
    out: str | Path,
    *,
    mask: str | Path | None = None,
    window: tuple[float, float] | None = None,
    clinical: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Path:
    """Explain slices with a served model and write one JSON file and one picture per patient.

    Args:
        saved_model: folder of an export.
        images: see `data.unlabelled.unlabelled_slices`.
        out: folder to write to, created if it does not exist.
        mask: volume that marks the tumour, if the image is a volume.
        window: (low, high) HU; by default that of the export.
        clinical: table with the clinical columns that the model takes, read like the table of labels.
        overrides: `data.key=value` settings for how slices are chosen and placed.

    Raises:
        ModelError, DataError, ConfigError: the export, the images or an override cannot be used.
    """
    model = load_saved_model(saved_model)
    data = _data_config(model, overrides)
    slices = unlabelled_slices(images, data, mask=mask, window=window or model.description.window_hu)
    others = _clinical(model, data, slices, clinical)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for start in range(0, len(slices.patient_id), TOGETHER):
        chosen = slice(start, start + TOGETHER)
        batch = slices.select(chosen)
        inputs = {"image": batch.images, **{name: array[chosen] for name, array in others.items()}}
        explanation = model.explain(inputs, batch.masks, spacing=batch.spacing)
        rows += _write(model, batch, explanation, out)
    _show(model, rows, slices)
    return out


def _clinical(
    model: ServedModel, data: DataConfig, slices: Unlabelled, table: str | Path | None
) -> "dict[str, np.ndarray]":
    """The other inputs of the model for the patients: none, or encoded clinical columns."""
    if not model.others:
        if table is not None:
            raise DataError("The model takes no clinical columns. Leave out --clinical.")
        return {}
    trained = (model.description.config or {}).get("data", {}).get("clinical", [])
    if model.description.clinical is None or model.others != ["clinical"] or not trained:
        raise DataError(
            f"The model takes the inputs {', '.join(model.others)}, and the export does not say where they "
            "come from. Use fgf_keras.load_saved_model in Python."
        )
    columns = columns_like([ClinicalColumn(**entry) for entry in trained], data.clinical)
    if table is None:
        headers = ", ".join(repr(column.header) for column in columns)
        raise DataError(
            "The model takes clinical columns beside the image. Give their table: --clinical FILE, with the "
            f"columns {data.id_column!r} and {headers}. Other headers: data.id_column=…, "
            "'data.clinical=[{name: …, column: …}]'."
        )
    placed = data.model_copy(update={"clinical_file": str(Path(table).absolute()), "clinical": columns})
    values = read_clinical(placed, Path(), slices.patient_id, Names(data.pseudonymise).patient)
    return {} if values is None else {"clinical": model.encoded(values)}


def _data_config(model: ServedModel, overrides: Sequence[str]) -> DataConfig:
    """How slices were chosen and placed for the training, unless an override says otherwise."""
    description = model.description
    *axes, channels = description.image_shape
    if (len(axes) == 2 and axes[0] != axes[1]) or channels != 1:
        raise DataError(
            f"The model takes images of {'x'.join(map(str, axes))} pixels and {channels} channel(s); "
            "fgf explain reads square slices and volumes of one channel. Use fgf_keras.load_saved_model in "
            "Python."
        )
    tree: dict[str, Any] = {
        **(description.config or {}),
        "run": {},
        "protocol": {},
        "sweep": None,
        "truth": None,
    }
    # The folder is not used, but a configuration must have one.
    form = {"source": "png", "size": axes[0]} if len(axes) == 2 else {"dimension": 3, "size": axes}
    data = tree["data"] = {**tree.get("data", {}), "root": ".", "source": "prepared", **form}
    if len(axes) == 3 and description.spacing_mm is not None:
        data["spacing"] = list(description.spacing_mm)
    if any(key.startswith(_REGION) for key in overrides):
        data["roi"] = {**data.get("roi", {}), "names": [], "pattern": None, "table": None}
    other = [key for key in overrides if not key.startswith("data.")]
    if other:
        raise DataError(f"fgf explain takes overrides of data alone. Received: {', '.join(other)}.")
    return parse_config(overridden(tree, overrides, source="the export"), source="the export").data


def _write(
    model: ServedModel, part: Unlabelled, explanation: ServedExplanation, out: Path
) -> "list[tuple[str, InputStatus, FlowStatus, pd.Series]]":
    """Write the files of some patients; returns (id, status, status of the path, metrics) of each."""
    description = model.description
    rows = []
    for i, row in explanation.to_frame().iterrows():
        patient = str(part.patient_id[i])
        status, flow = InputStatus.of(explanation.status[i]), FlowStatus.of(explanation.flow_status[i])
        numbers = {key: _plain(value) for key, value in row.items() if key not in ("status", "flow_status")}
        content = {
            "patient_id": patient,
            "model": {"version": model.path.name, "versions": description.versions},
            "status": status.name.lower(),
            "status_meaning": status.sentence,
            "threshold": description.threshold,
            "support": description.support,
            "units": description.features,
            **numbers,
            "flow_status": flow.name.lower(),
            "flow_status_meaning": flow.sentence,
        }
        write_json(out / f"{patient}.json", content)
        if status == InputStatus.OK:
            panels = _panels(part, explanation, i, row, flow)
            patient_page([panels], description.support, path=out / f"{patient}.png")
        rows.append((patient, status, flow, row))
    return rows


def _panels(
    part: Unlabelled, explanation: ServedExplanation, i: int, row: "pd.Series", flow: FlowStatus
) -> PagePatient:
    image, mask = part.images[i], part.masks[i]
    fields = {name: getattr(explanation, name)[i] for name in ("gradient", "explained", "boundary")}
    fields |= {"image": image, "mask": mask, "seen": image * mask, "features": []}
    fields["spacing"] = part.spacing[i]
    logit = row["logit"] if "logit" in row else row[f"logit_{int(row['class'])}"]
    row = {**row, "logit": logit, "status": flow.name.lower()}
    return page_patient(part.patient_id[i], fields, row, [])


def _plain(value: Any) -> float | int | None:
    """A number that JSON can hold; None if it is undefined."""
    value = float(value) if isinstance(value, (float, np.floating)) else int(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(
    model: ServedModel, rows: "list[tuple[str, InputStatus, FlowStatus, pd.Series]]", slices: Unlabelled
) -> None:
    features = [*model.description.features, "joint"]
    table = rich.table.Table(
        "patient", "class", "probability", *(f"S {name}" for name in features), "F joint"
    )
    for patient, status, flow, row in rows:
        if status != InputStatus.OK:
            table.add_row(patient, status.name.lower().replace("_", " "))
            continue
        decision = int(row["class"])
        probability = row["probability"] if "probability" in row else row[f"probability_{decision}"]
        shares = [f"{row[f'S_{name}']:.3f}" for name in features]
        joint_flow = f"{row['F_joint']:.3f}" if flow in ENDED else "–"
        table.add_row(patient, str(decision), f"{probability:.3f}", *shares, joint_flow)
    console.print(table)
    for rejected in slices.rejected:
        who = rejected.patient_id or "A file"
        console.print(f"Left out: {who}: {rejected.reason} {rejected.remedy}", soft_wrap=True, markup=False)
