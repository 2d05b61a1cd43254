"""Pictures of some patients, as files beside the report that shows them."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from fgf_keras.files import whole_file

FOLDER, LIST = "pictures", "pictures.json"


class ShownPatient(NamedTuple):
    """A patient in pictures.

    Attributes:
        patient_id: whose.
        pictures: (title, caption, PNG) of each.
    """

    patient_id: str
    pictures: list[tuple[str, str, bytes]]


def write_pictures(shown: dict[str, list[ShownPatient]], directory: Path) -> None:
    """Write pictures/ into a folder, in place of earlier ones; nothing where none are shown.

    Args:
        shown: by support.
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
                # Ids may hold what a file name cannot.
                file = f"{support}_{n}_{k}.png"
                (folder / file).write_bytes(png)
                entries.append({"title": title, "caption": caption, "file": file})
            content[support].append({"patient_id": patient.patient_id, "pictures": entries})
    # Last: where it is, every file that it names is too.
    with whole_file(folder / LIST) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_pictures(directory: Path) -> dict[str, list[ShownPatient]]:
    """What `write_pictures` wrote into a folder; empty where there is nothing."""
    folder = Path(directory) / FOLDER
    if not (folder / LIST).is_file():
        return {}
    content = json.loads((folder / LIST).read_text(encoding="utf-8"))
    return {
        support: [
            ShownPatient(
                each["patient_id"],
                [(p["title"], p["caption"], (folder / p["file"]).read_bytes()) for p in each["pictures"]],
            )
            for each in patients
        ]
        for support, patients in content.items()
    }
