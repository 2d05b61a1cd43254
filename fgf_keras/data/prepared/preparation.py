"""What prepared slices depend on, and what became of a preparation."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fgf_keras.config.data import DataConfig
from fgf_keras.data.prepared.changes import changed_settings
from fgf_keras.data.prepared.pseudonym import Names
from fgf_keras.data.prepared.source import STAGES, RejectedPatient
from fgf_keras.data.prepared.store import SliceStore
from fgf_keras.errors import DataError

LABEL_KEYS = ("labels_file", "sheets", "separator", "id_column", "label_column")


@dataclass(frozen=True)
class Preparation:
    """What `prepare` did.

    Attributes:
        folder: the store.
        patients, positive: in the cohort now.
        added: of these, prepared in this run.
        warned: of these, with warnings.
        rejected: why patients and files are not in it.
        left_out: see `left_out`.
        seconds: that it took.
    """

    folder: Path
    patients: int
    positive: int
    added: int
    warned: int
    rejected: tuple[RejectedPatient, ...]
    left_out: dict
    seconds: float

    def summary(self) -> str:
        """What a person wants to know, in a few lines."""
        rate = f" ({self.added / max(self.seconds, 1e-9):.1f} a second)" if self.added else ""
        lines = [f"{self.patients} patients, {self.positive} positive; {self.added} prepared now{rate}."]
        if self.warned:
            lines.append(f"With warnings: {self.warned} patients; see cohort.csv and the contact sheet.")
        if left_out := describe_left_out(self.left_out):
            lines.append(f"Left out: {left_out}; reasons and remedies are in {self.folder / 'rejected.csv'}.")
        return "\n".join(lines)


def left_out(rejected: Iterable[RejectedPatient], cohort: Iterable[str]) -> dict:
    """{"patients": {stage: how many came so far}, "files": how many of nobody or of those in the cohort}."""
    furthest: dict[str, int] = {}
    cohort, files = {"", *cohort}, 0
    for entry in rejected:
        if entry.patient_id in cohort:
            files += 1
        else:
            stage = STAGES.index(entry.stage)
            furthest[entry.patient_id] = max(stage, furthest.get(entry.patient_id, stage))
    counts = Counter(furthest.values())
    return {"patients": {STAGES[i]: counts[i] for i in sorted(counts)}, "files": files}


def describe_left_out(counts: dict) -> str:
    """What `left_out` counts, as a part of a sentence; "" for nothing."""
    parts = []
    if counts["patients"]:
        stages = ", ".join(f"{stage}: {count}" for stage, count in counts["patients"].items())
        parts.append(f"{sum(counts['patients'].values())} patients ({stages})")
    if counts["files"]:
        parts.append(f"{counts['files']} files of no patient or not needed")
    return " and ".join(parts)


def slice_settings(config: DataConfig, names: Names) -> dict:
    """What prepared slices depend on, as JSON can hold it. The window is applied when they are read."""
    of_source = "roi" if config.source == "dicom" else "volumes"
    keys = {"source", "size", "spacing_mm", "slice", "centre", of_source}
    return {**config.model_dump(mode="json", include=keys), "key": names.check}


def source_state(config: DataConfig, names: Names) -> dict:
    """Where patients and labels come from: settings, and hashes of the folder's place and of the tables."""
    root = config.root_folder
    return {
        **{key: getattr(config, key) for key in LABEL_KEYS},
        "root": names.fingerprint(str(root.resolve()).encode()),
        # Where it is empty it is left out, as stores of earlier versions have it.
        **({"accept": sorted(config.accept)} if config.accept else {}),
        "tables": [names.fingerprint(_content(root / table)) for table in config.tables],
    }


def is_prepared(config: DataConfig) -> bool:
    """Whether the store in `config.out` is finished and was made of this folder, with these settings.

    It does not look for DICOM files that are new: `prepare` does. Without the folder, the store stands alone.
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


def _content(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
