"""The work of `fgf explain`: send images to an exported model and write its explanation of each patient."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rich.table

from fgf_keras.config import DataConfig, overridden, parse_config
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
    overrides: Sequence[str] = (),
) -> Path:
    """Explain slices with a served model and write one JSON file and one picture per patient.

    Args:
        saved_model: folder of an export.
        images: see `data.unlabelled.unlabelled_slices`.
        out: folder to write to, created if it does not exist.
        mask: volume that marks the tumour, if the image is a volume.
        window: (low, high) HU; by default that of the export.
        overrides: `data.key=value` settings for how slices are chosen and placed.

    Raises:
        ModelError, DataError, ConfigError: the export, the images or an override cannot be used.
    """
    model = load_saved_model(saved_model)
    data = _data_config(model, overrides)
    slices = unlabelled_slices(images, data, mask=mask, window=window or model.description.window_hu)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for start in range(0, len(slices.patient_id), TOGETHER):
        batch = slices.select(slice(start, start + TOGETHER))
        explanation = model.explain(batch.images, batch.masks, spacing=batch.spacing)
        rows += _write(model, batch, explanation, out)
    _show(model, rows, slices)
    return out


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
