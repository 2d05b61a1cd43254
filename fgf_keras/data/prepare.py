"""From the volumes of a source to a store of prepared slices."""

import platform
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import joblib

from fgf_keras.config_data import DataConfig
from fgf_keras.data.dicom.patient import dicom_patients
from fgf_keras.data.prepare_patient import prepare_patient
from fgf_keras.data.pseudonym import Names
from fgf_keras.data.slices import listing
from fgf_keras.data.source_slice import PatientSource, RejectedPatient
from fgf_keras.data.store import SliceStore, changed_settings
from fgf_keras.data.tables import LabelTable, read_labels
from fgf_keras.data.volumes import volume_patients
from fgf_keras.errors import DataError
from fgf_keras.progress import RateColumn, progress_bar

# Versions that decide what comes out.
PACKAGES = ("fgf-keras", "numpy", "scipy", "pydicom", "zarr")
# Patients that take as long to read as a process takes to start: of DICOM one slice is read, of volumes all.
WORTH_A_PROCESS = {"dicom": 32, "volumes": 2}
# What the label of a patient depends on; the slices do not.
LABEL_KEYS = ("labels_file", "sheets", "separator", "id_column", "label_column")


@dataclass(frozen=True)
class Preparation:
    """What `prepare` did.

    Attributes:
        folder: the store.
        patients, positive: in the cohort now.
        added: of these, prepared in this run.
        rejected: patients and files that are not in it.
        seconds: that it took.
    """

    folder: Path
    patients: int
    positive: int
    added: int
    rejected: tuple[RejectedPatient, ...]
    seconds: float

    def summary(self) -> str:
        """What a person wants to know, in a few lines."""
        rate = f" ({self.added / max(self.seconds, 1e-9):.1f} a second)" if self.added else ""
        lines = [f"{self.patients} patients, {self.positive} positive; {self.added} prepared now{rate}."]
        patients = {r.patient_id for r in self.rejected} - {""}
        files = [r for r in self.rejected if not r.patient_id]
        if self.rejected:
            stages = Counter(r.stage for r in self.rejected if r.patient_id)
            why = ", ".join(f"{stage}: {count}" for stage, count in sorted(stages.items()))
            lines.append(
                f"Not used: {len(patients)} patients{f' ({why})' if why else ''} and {len(files)} files that "
                f"belong to none; reasons and remedies are in {self.folder / 'rejected.csv'}."
            )
        return "\n".join(lines)


def prepare(config: DataConfig, *, n_jobs: int = 1, title: str = "Preparing") -> Preparation:
    """Bring the store in `config.out` up to date: patients that are new or changed, and the tables.

    Patients are read in parallel and stored in the order of their ids, so that the store does not depend on
    `n_jobs` or on being stopped in between. Whatever is wrong with one patient never stops the others.

    Args:
        config: source `dicom` or `volumes`.
        n_jobs: processes.
        title: of the progress bar.

    Raises:
        DataError: the folder, the table of labels or the key cannot be used, the store was prepared with
            other settings, or no patient at all could be prepared.
    """
    begun = time.monotonic()
    _check_apart(config)
    names = Names(config.pseudonymise)
    labels = _labels(config)
    with SliceStore.writing(config.out, slice_settings(config, names)) as store:
        patients, rejected = _patients(config, labels, n_jobs)
        public = _public_names(patients, names)
        todo = _missing(patients, public, store)
        tasks = (joblib.delayed(prepare_patient)(p, public[p.patient_id], config, names) for p in todo)
        jobs = max(1, min(n_jobs, len(todo) // WORTH_A_PROCESS[config.source]))
        added = 0
        with (
            progress_bar(RateColumn("patients")) as progress,
            joblib.Parallel(jobs, return_as="generator") as pool,
        ):
            for result in progress.track(pool(tasks), total=len(todo), description=title):
                if isinstance(result, RejectedPatient):
                    rejected.append(result)
                else:
                    store.add(*result)
                    added += 1
        rows = _cohort_rows(store, patients, public, labels)
        rejected = [_published(r, names) for r in rejected]
        store.reject([asdict(r) for r in rejected])
        if not rows:
            raise DataError(
                f"No patient below data.root={config.root!r} could be prepared. "
                "All reasons stand in rejected.csv in data.out; the first: "
                + listing(f"{r.patient_id or 'a file'}: {r.reason} {r.remedy}" for r in rejected[:3])
            )
        positive = sum(row["label"] > 0 for row in rows)
        store.finish(rows, _provenance(config, rows, rejected))
    return Preparation(
        Path(config.out), len(rows), positive, added, tuple(rejected), time.monotonic() - begun
    )


def is_prepared(config: DataConfig) -> bool:
    """Whether the store in `config.out` is finished and was made with these settings; nothing else is read.

    It does not look for files that are new: `prepare` does.
    """
    try:
        store = SliceStore.reading(config.out)
    except DataError:
        return False
    changed = changed_settings(store.settings, slice_settings(config, Names(config.pseudonymise)))
    return not changed and store.provenance()["labels"] == label_settings(config)


def slice_settings(config: DataConfig, names: Names) -> dict:
    """What prepared slices depend on, as JSON can hold it. The window is applied when they are read."""
    keys = {
        "source",
        "size",
        "spacing_mm",
        "slice",
        "centre",
        "roi" if config.source == "dicom" else "volumes",
    }
    return {**config.model_dump(mode="json", include=keys), "key": names.check}


def label_settings(config: DataConfig) -> dict:
    """What labels depend on."""
    return {key: getattr(config, key) for key in LABEL_KEYS}


def _check_apart(config):
    root, out = Path(config.root).resolve(), Path(config.out).resolve()
    if not root.is_dir():
        raise DataError(f"The folder {config.root!r} does not exist. Let data.root name the one to read.")
    if out == root or root in out.parents:
        raise DataError(
            f"data.out={config.out!r} lies in data.root={config.root!r}, where nothing is ever written. "
            "Let it name a folder elsewhere."
        )


def _labels(config) -> LabelTable:
    table = read_labels(
        Path(config.root) / config.labels_file,
        id_column=config.id_column,
        label_column=config.label_column,
        separator=config.separator,
        sheets=config.sheets,
    )
    if not table.labels:
        raise DataError(
            f"{config.labels_file}, column {config.label_column!r}: no patient has a label. "
            "Set data.label_column."
        )
    return table


def _patients(config, labels, n_jobs) -> tuple[list[PatientSource], list[RejectedPatient]]:
    """Patients with a label, and everybody and everything else."""
    if config.source == "dicom":
        found, rejected = dicom_patients(config, n_jobs=n_jobs)
    else:
        found, rejected = volume_patients(config, labels.labels)
    patients = [p for p in found if p.patient_id in labels.labels]
    for patient in found:
        if patient.patient_id not in labels.labels:
            rejected.append(_without_label(patient.patient_id, labels, config))
    known = {p.patient_id for p in found} | {r.patient_id for r in rejected}
    rejected += [
        RejectedPatient(
            name,
            "file",
            f"The table {config.labels_file} has the patient, but no file is of this one.",
            "Add the files, or remove the row; ids must be spelt alike.",
        )
        for name in labels.labels
        if name not in known
    ]
    return patients, rejected


def _without_label(patient_id, labels, config):
    found = labels.unlabelled.get(patient_id)
    reason = (
        "has no row of this patient" if found is None else f"says {found} in column {config.label_column!r}"
    )
    return RejectedPatient(
        patient_id,
        "label",
        f"The table {config.labels_file} {reason}.",
        "Complete the table; ids must be spelt alike.",
    )


def _public_names(patients: Iterable[PatientSource], names: Names) -> dict[str, str]:
    public = {p.patient_id: names.patient(p.patient_id) for p in patients}
    alike = [name for name, count in Counter(public.values()).items() if count > 1]
    if alike:
        raise DataError(f"Several patients would have one name: {listing(alike)}. Give them other ids.")
    return public


def _missing(patients, public, store):
    """Those that the store does not hold, or that have other files by now."""
    rows = store.rows()

    def is_new(patient):
        row = rows.get(public[patient.patient_id])
        return row is None or store.records[row]["fingerprint"] != patient.fingerprint

    return [patient for patient in patients if is_new(patient)]


def _cohort_rows(store, patients, public, labels):
    """Rows of the table, in the order of the slices. A slice of files that have changed is out of date."""
    current = {public[p.patient_id]: p for p in patients}
    rows = []
    for name, row in sorted(store.rows().items(), key=lambda item: item[1]):
        record = dict(store.records[row])
        del record["patient_id"]
        fingerprint = record.pop("fingerprint")
        if name in current and current[name].fingerprint == fingerprint:
            label = labels.labels[current[name].patient_id]
            rows.append({"patient_id": name, "label": label, "row": row, **record})
    return rows


def _published(rejected, names):
    patient_id = rejected.patient_id and names.patient(rejected.patient_id)
    return RejectedPatient(patient_id, rejected.stage, rejected.reason, rejected.remedy)


def _provenance(config, rows, rejected):
    return {
        "labels": label_settings(config),
        "counts": {
            "patients": len(rows),
            "positive": sum(row["label"] > 0 for row in rows),
            "rejected": dict(Counter(r.stage for r in rejected)),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
