"""Pictures of patients as files next to the report that shows them."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from fgf_keras.files import whole_file

FOLDER, LIST = "pictures", "pictures.json"


class ShownPatient(NamedTuple):
    """A patient with pictures.

    Attributes:
        patient_id: id of the patient.
        pictures: (title, caption, PNG) of each picture.
    """

    patient_id: str
    pictures: list[tuple[str, str, bytes]]


def write_pictures(shown: dict[str, list[ShownPatient]], directory: Path) -> None:
    """Write pictures/ to a folder and delete earlier pictures; no folder is written if there are none.

    Args:
        shown: patients by support.
        directory: an existing folder.
    """
    folder = directory / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    if not shown:
        return
    folder.mkdir()
    content: dict[str, list[dict[str, Any]]] = {}
    for support, patients in shown.items():
        content[support] = []
        for n, patient in enumerate(patients):
            entries = []
            for k, (title, caption, png) in enumerate(patient.pictures):
                # Ids may contain characters that a file name cannot.
                file = f"{support}_{n}_{k}.png"
                (folder / file).write_bytes(png)
                entries.append({"title": title, "caption": caption, "file": file})
            content[support].append({"patient_id": patient.patient_id, "pictures": entries})
    # Written last: if this file exists, so do all files that it lists.
    with whole_file(folder / LIST) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_pictures(directory: Path) -> dict[str, list[ShownPatient]]:
    """Read the pictures that `write_pictures` wrote to a folder; empty if there are none."""
    folder = Path(directory) / FOLDER
    if not (folder / LIST).is_file():
        return {}
    content = json.loads((folder / LIST).read_text(encoding="utf-8"))
    return {
        support: [
            ShownPatient(
                patient["patient_id"],
                [(p["title"], p["caption"], (folder / p["file"]).read_bytes()) for p in patient["pictures"]],
            )
            for patient in patients
        ]
        for support, patients in content.items()
    }
