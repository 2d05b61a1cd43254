"""Everything that `fgf explain` does: images to a served model, and what it says of each patient."""

import math
from pathlib import Path

import numpy as np
import rich.table

from fgf_keras.config import DataConfig, overridden, parse_config
from fgf_keras.data.unlabelled import Unlabelled, unlabelled_slices
from fgf_keras.errors import DataError
from fgf_keras.files import write_json
from fgf_keras.flow.status import ENDED, FlowStatus
from fgf_keras.pictures.patient_page import page_patient, patient_page
from fgf_keras.progress import console
from fgf_keras.serving.input_status import InputStatus
from fgf_keras.serving.load import ServedExplanation, ServedModel, load_saved_model

TOGETHER = 16
# One of them tells the tumour; another takes its place.
_REGION = ("data.roi.names=", "data.roi.pattern=", "data.roi.table")


def explain_images(saved_model, images, out, *, mask=None, window=None, overrides=()) -> Path:
    """Explain slices with a served model; writes a JSON and a picture a patient.

    Args:
        saved_model: folder of an export.
        images: see `data.unlabelled.unlabelled_slices`.
        out: folder to write to, made if it is not there.
        mask: volume that marks the tumour, for a volume.
        window: (low, high) HU; that of the export by default.
        overrides: `data.key=value`, of how slices are chosen and placed.

    Raises:
        ModelError, DataError, ConfigError: the export, the images or an override cannot be used.
    """
    model = load_saved_model(saved_model)
    data = _data_config(model, overrides)
    read = unlabelled_slices(images, data, mask=mask, window=window or model.description.window_hu)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for start in range(0, len(read.patient_id), TOGETHER):
        part = read.select(slice(start, start + TOGETHER))
        explanation = model.explain(part.images, part.masks, spacing=part.spacing)
        rows += _write(model, part, explanation, out)
    _show(model, rows, read)
    return out


def _data_config(model, overrides) -> DataConfig:
    """How slices were chosen and placed for the training, unless an override says otherwise."""
    described = model.description
    height, width, channels = described.image_shape
    if height != width or channels != 1:
        raise DataError(
            f"The model takes images of {height}x{width} pixels and {channels} channel(s); fgf explain reads "
            "square slices of one channel. Use fgf_keras.load_saved_model in Python."
        )
    tree = {**(described.config or {}), "run": {}, "protocol": {}, "sweep": None, "truth": None}
    # Its place is not looked at, but a configuration must have one.
    data = tree["data"] = {**tree.get("data", {}), "source": "png", "root": ".", "size": height}
    if any(key.startswith(_REGION) for key in overrides):
        data["roi"] = {**data.get("roi", {}), "names": [], "pattern": None, "table": None}
    other = [key for key in overrides if not key.startswith("data.")]
    if other:
        raise DataError(f"fgf explain takes overrides of data alone. Received: {', '.join(other)}.")
    return parse_config(overridden(tree, overrides, source="the export"), source="the export").data


def _write(model: ServedModel, part: Unlabelled, found: ServedExplanation, out):
    """Write the files of some patients; returns a row (id, status, status of the path, figures) of each."""
    described = model.description
    rows = []
    for i, row in found.to_frame().iterrows():
        patient = str(part.patient_id[i])
        status, flow = InputStatus.of(found.status[i]), FlowStatus.of(found.flow_status[i])
        numbers = {key: _plain(value) for key, value in row.items() if key not in ("status", "flow_status")}
        content = {
            "patient_id": patient,
            "model": {"version": model.path.name, "versions": described.versions},
            "status": status.name.lower(),
            "status_meaning": status.sentence,
            "threshold": described.threshold,
            "support": described.support,
            **numbers,
            "flow_status": flow.name.lower(),
            "flow_status_meaning": flow.sentence,
        }
        write_json(out / f"{patient}.json", content)
        if status == InputStatus.OK:
            panels = _panels(part, found, i, row, flow)
            patient_page([panels], described.support, path=out / f"{patient}.png")
        rows.append((patient, status, flow, row))
    return rows


def _panels(part, found, i, row, flow):
    image, mask = part.images[i], part.masks[i]
    fields = {name: getattr(found, name)[i] for name in ("gradient", "explained", "boundary")}
    fields |= {"image": image, "mask": mask, "seen": image * mask, "features": []}
    logit = row["logit"] if "logit" in row else row[f"logit_{int(row['class'])}"]
    row = {**row, "logit": logit, "status": flow.name.lower()}
    return page_patient(part.patient_id[i], fields, row, [])


def _plain(value):
    """A number as JSON has it; an undefined one is null."""
    value = float(value) if isinstance(value, (float, np.floating)) else int(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(model, rows, read):
    features = [*model.description.features, "joint"]
    table = rich.table.Table(
        "patient", "class", "probability", *(f"S {name}" for name in features), "F joint"
    )
    for patient, status, flow, row in rows:
        if status != InputStatus.OK:
            table.add_row(patient, status.name.lower().replace("_", " "))
            continue
        decided = int(row["class"])
        probability = row["probability"] if "probability" in row else row[f"probability_{decided}"]
        shares = [f"{row[f'S_{name}']:.3f}" for name in features]
        flowing = f"{row['F_joint']:.3f}" if flow in ENDED else "–"
        table.add_row(patient, str(decided), f"{probability:.3f}", *shares, flowing)
    console.print(table)
    for rejected in read.rejected:
        who = rejected.patient_id or "A file"
        console.print(f"Left out: {who}: {rejected.reason} {rejected.remedy}", soft_wrap=True, markup=False)
