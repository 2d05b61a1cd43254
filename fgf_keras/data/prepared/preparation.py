"""The settings that prepared slices depend on, and the outcome of a preparation."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgf_keras.config.data import DataConfig
from fgf_keras.data.prepared.changes import changed_settings
from fgf_keras.data.prepared.pseudonym import Names
from fgf_keras.data.prepared.source import STAGES, RejectedPatient
from fgf_keras.data.prepared.store import SliceStore
from fgf_keras.errors import DataError

LABEL_KEYS = ("labels_file", "sheets", "separator", "id_column", "label_column")


@dataclass(frozen=True)
class Preparation:
    """The outcome of `prepare`.

    Attributes:
        folder: of the store.
        patients, positive: number of patients, and of positive ones, in the cohort now.
        added: number of patients that were prepared in this run.
        warned: number of patients with warnings.
        rejected: patients and files that are not in the cohort, with reasons.
        left_out: see `left_out`.
        seconds: duration of the preparation.
    """

    folder: Path
    patients: int
    positive: int
    added: int
    warned: int
    rejected: tuple[RejectedPatient, ...]
    left_out: dict[str, Any]
    seconds: float

    def summary(self) -> str:
        """A summary in a few lines."""
        rate = f" ({self.added / max(self.seconds, 1e-9):.1f} a second)" if self.added else ""
        lines = [f"{self.patients} patients, {self.positive} positive; {self.added} prepared now{rate}."]
        if self.warned:
            lines.append(f"With warnings: {self.warned} patients; see cohort.csv and the contact sheet.")
        if left_out := describe_left_out(self.left_out):
            lines.append(f"Left out: {left_out}; reasons and remedies are in {self.folder / 'rejected.csv'}.")
        return "\n".join(lines)


def left_out(rejected: Iterable[RejectedPatient], cohort: Iterable[str]) -> dict[str, Any]:
    """Count rejected patients and files.

    Returns:
        {"patients": {stage: number of patients whose last stage it was}, "files": number of files that
        belong to no patient or to a patient of the cohort}.
    """
    furthest: dict[str, int] = {}
    not_counted, files = {"", *cohort}, 0
    for entry in rejected:
        if entry.patient_id in not_counted:
            files += 1
        else:
            stage = STAGES.index(entry.stage)
            furthest[entry.patient_id] = max(stage, furthest.get(entry.patient_id, stage))
    counts = Counter(furthest.values())
    return {"patients": {STAGES[i]: counts[i] for i in sorted(counts)}, "files": files}


def describe_left_out(counts: dict[str, Any]) -> str:
    """The result of `left_out` as part of a sentence; "" if nothing was left out."""
    parts = []
    if counts["patients"]:
        stages = ", ".join(f"{stage}: {count}" for stage, count in counts["patients"].items())
        parts.append(f"{sum(counts['patients'].values())} patients ({stages})")
    if counts["files"]:
        parts.append(f"{counts['files']} files of no patient or not needed")
    return " and ".join(parts)


def slice_settings(config: DataConfig, names: Names) -> dict[str, Any]:
    """The settings that prepared slices depend on, JSON-compatible; the window is applied when reading."""
    of_source = "roi" if config.source == "dicom" else "volumes"
    if config.dimension == 3:
        volumes = config.model_dump(mode="json", include={"source", "dimension", "spacing", of_source})
        return {**volumes, "size": list(config.shape), "key": names.check}
    keys = {"source", "size", "spacing_mm", "slice", "centre", of_source}
    return {**config.model_dump(mode="json", include=keys), "key": names.check}


def source_state(config: DataConfig, names: Names) -> dict[str, Any]:
    """The origin of patients and labels: settings, and hashes of the path of the folder and of the tables."""
    root = config.root_folder
    return {
        **{key: getattr(config, key) for key in LABEL_KEYS},
        "root": names.fingerprint(str(root.resolve()).encode()),
        # Left out if it is empty, as in stores of earlier versions.
        **({"accept": sorted(config.accept)} if config.accept else {}),
        **({"endpoint": config.endpoint.model_dump()} if config.endpoint.days else {}),
        "tables": [names.fingerprint(_content(root / table)) for table in config.tables],
    }


def is_prepared(config: DataConfig) -> bool:
    """Whether the store in `config.out` is finished and was made from this folder with these settings.

    Does not check for new DICOM files, as `prepare` does. If the folder does not exist, it is not compared.
    """
    try:
        store = SliceStore.reading(config.out_folder)
    except DataError:
        return False
    names = Names(config.pseudonymise)
    if changed_settings(store.settings, slice_settings(config, names)):
        return False
    keys = {"root", "tables"} if not config.root_folder.is_dir() else set()
    return not set(changed_settings(store.provenance()["of"], source_state(config, names))) - keys


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
