"""Preparation of slices from the volumes of a source into a store."""

import platform
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import joblib

from fgf_keras.config.data import DataConfig
from fgf_keras.data.dicom.patient import dicom_patients
from fgf_keras.data.endpoint import cohort_labels
from fgf_keras.data.prepared.patient import prepare_patient, stored_fingerprint
from fgf_keras.data.prepared.preparation import Preparation, left_out, slice_settings, source_state
from fgf_keras.data.prepared.pseudonym import Names
from fgf_keras.data.prepared.source import STAGES, PatientSource, RejectedPatient
from fgf_keras.data.prepared.store import SliceStore
from fgf_keras.data.slices import listing
from fgf_keras.data.tables import LabelTable
from fgf_keras.data.volumes.volumes import volume_patients
from fgf_keras.errors import DataError
from fgf_keras.progress import parallel

# Packages whose versions affect the result.
PACKAGES = ("fgf-keras", "numpy", "scipy", "pydicom", "zarr")
# Number of patients that take as long to read as a process to start: DICOM reads one slice, volumes all.
WORTH_A_PROCESS = {"dicom": 32, "volumes": 2}


def prepare(config: DataConfig, *, n_jobs: int = 1, title: str = "Preparing") -> Preparation:
    """Bring the store in `config.out` up to date: add new and changed patients, and rewrite the tables.

    Patients are read in parallel and stored in the order of their ids, so that the store does not depend on
    `n_jobs` or on interruptions. An error in one patient never stops the others.

    Args:
        config: with source `dicom` or `volumes`.
        n_jobs: number of processes.
        title: of the progress bar.

    Raises:
        DataError: the folder, the table of labels or the key cannot be used, the store was prepared with
            other settings, or no patient could be prepared.
    """
    start = time.monotonic()
    _check_apart(config)
    names = Names(config.pseudonymise)
    labels = _labels(config)
    with SliceStore.writing(config.out_folder, slice_settings(config, names)) as store:
        patients, rejected = _patients(config, labels, n_jobs)
        public = _public_names(patients, names)
        # Sorted by public names: another order would reveal something about the original ids.
        patients.sort(key=lambda patient: public[patient.patient_id])
        pending = _missing(patients, public, store, names)
        results = _prepared(pending, public, config, names, n_jobs, title)
        added = 0
        for result in results:
            if isinstance(result, RejectedPatient):
                rejected.append(result)
            else:
                store.add(*result)
                added += 1
        rows = _cohort_rows(store, patients, public, labels, names)
        rejected = [_published(r, names) for r in rejected]
        store.reject([asdict(r) for r in rejected])
        if not rows:
            raise _nobody_left(config, rejected)
        counts: dict[str, Any] = {
            "patients": len(rows),
            "positive": sum(row["label"] > 0 for row in rows),
            "left_out": left_out(rejected, [row["patient_id"] for row in rows]),
        }
        store.finish(rows, _provenance(config, names, rows, counts))
    return Preparation(
        folder=config.out_folder,
        **counts,
        added=added,
        warned=sum(bool(row["warnings"]) for row in rows),
        rejected=tuple(rejected),
        seconds=time.monotonic() - start,
    )


def _prepared(
    patients: Sequence[PatientSource],
    public: dict[str, str],
    config: DataConfig,
    names: Names,
    n_jobs: int,
    title: str,
) -> Iterator[Any]:
    """The results of `prepare_patient`, in the order of the patients."""
    tasks = (joblib.delayed(prepare_patient)(p, public[p.patient_id], config, names) for p in patients)
    jobs = max(1, min(n_jobs, len(patients) // WORTH_A_PROCESS[config.source]))
    return parallel(tasks, n_jobs=jobs, total=len(patients), title=title, what="patients")


def _nobody_left(config: DataConfig, rejected: Sequence[RejectedPatient]) -> DataError:
    # Patients first: their reasons are more useful than those of files that are not DICOM.
    first = sorted(rejected, key=lambda r: (not r.patient_id, -STAGES.index(r.stage)))[:3]
    reasons = "".join(f"\n  {r.patient_id or 'a file'}: {r.reason} {r.remedy}" for r in first)
    return DataError(
        f"No patient below data.root={config.root!r} could be prepared. All reasons are in rejected.csv in "
        f"{config.out!r}; the first:{reasons}"
    )


def _check_apart(config: DataConfig) -> None:
    root, out = config.root_folder.resolve(), config.out_folder.resolve()
    if not root.is_dir():
        raise DataError(f"The folder {config.root!r} does not exist. Let data.root name the one to read.")
    if out == root or root in out.parents:
        raise DataError(
            f"data.out={config.out!r} lies in data.root={config.root!r}, where nothing is ever written. "
            "Let it name a folder elsewhere."
        )


def _labels(config: DataConfig) -> LabelTable:
    table = cohort_labels(config.root_folder / config.labels_file, config)
    if not table.labels:
        raise DataError(
            f"{config.labels_file}, column {config.label_column!r}: no patient has a label. "
            "Set data.label_column."
        )
    return table


def _patients(
    config: DataConfig, labels: LabelTable, n_jobs: int
) -> tuple[list[PatientSource], list[RejectedPatient]]:
    """The patients with a label, and all other patients and files with reasons."""
    sources: Sequence[PatientSource]
    if config.source == "dicom":
        sources, rejected = dicom_patients(config, n_jobs=n_jobs)
    else:
        sources, rejected = volume_patients(config, labels.labels)
    patients: list[PatientSource] = [p for p in sources if p.patient_id in labels.labels]
    for patient in sources:
        if patient.patient_id not in labels.labels:
            rejected.append(_without_label(patient.patient_id, labels, config))
    with_files = {p.patient_id for p in sources} | {r.patient_id for r in rejected}
    rejected += [
        RejectedPatient(
            name,
            "file",
            f"The table {config.labels_file} has the patient, but there are no files of this patient.",
            "Add the files, or remove the row; ids must be spelt alike.",
        )
        for name in labels.labels
        if name not in with_files
    ]
    return patients, rejected


def _without_label(patient_id: str, labels: LabelTable, config: DataConfig) -> RejectedPatient:
    if patient_id in labels.censored:
        return RejectedPatient(
            patient_id,
            "label",
            f"Within data.endpoint.days, the label is unknown: {labels.censored[patient_id]}.",
            "Nothing needs to be done; without data.endpoint.days, the patient is used.",
        )
    # The content of the cell is not repeated: it may be a remark about the patient.
    reason = "has no row of this patient"
    if patient_id in labels.unlabelled:
        reason = f"has a row of this patient, but no whole number in column {config.label_column!r}"
    return RejectedPatient(
        patient_id,
        "label",
        f"The table {config.labels_file} {reason}.",
        "Complete the table; ids must be spelt alike.",
    )


def _public_names(patients: Iterable[PatientSource], names: Names) -> dict[str, str]:
    public = {p.patient_id: names.patient(p.patient_id) for p in patients}
    shared = [name for name, count in Counter(public.values()).items() if count > 1]
    if shared:
        raise DataError(f"Several patients would have one name: {listing(shared)}. Give them other ids.")
    return public


def _missing(
    patients: Iterable[PatientSource], public: dict[str, str], store: SliceStore, names: Names
) -> list[PatientSource]:
    """The patients that are not in the store, or whose files have changed."""
    rows = store.rows()

    def is_new(patient: PatientSource) -> bool:
        row = rows.get(public[patient.patient_id])
        return row is None or store.records[row]["fingerprint"] != stored_fingerprint(patient, names)

    return [patient for patient in patients if is_new(patient)]


def _cohort_rows(
    store: SliceStore,
    patients: Iterable[PatientSource],
    public: dict[str, str],
    labels: LabelTable,
    names: Names,
) -> list[dict[str, Any]]:
    """Rows of cohort.csv, sorted by name; slices of removed patients and of changed files are left out."""
    current = {public[p.patient_id]: p for p in patients}
    rows = []
    for name, row in sorted(store.rows().items()):
        record = dict(store.records[row])
        del record["patient_id"]
        fingerprint = record.pop("fingerprint")
        if name in current and stored_fingerprint(current[name], names) == fingerprint:
            label = labels.labels[current[name].patient_id]
            rows.append({"patient_id": name, "label": label, "row": row, **record})
    return rows


def _published(rejected: RejectedPatient, names: Names) -> RejectedPatient:
    patient_id = rejected.patient_id and names.patient(rejected.patient_id)
    reason, remedy = names.reason(rejected.reason), names.reason(rejected.remedy)
    return RejectedPatient(patient_id, rejected.stage, reason, remedy)


def _content(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "row"}


def _provenance(
    config: DataConfig, names: Names, rows: list[dict[str, Any]], counts: dict[str, Any]
) -> dict[str, Any]:
    return {
        "of": source_state(config, names),
        "counts": counts,
        # Of slices and labels, regardless of the order in which they were added.
        "fingerprint": names.fingerprint(repr([_content(row) for row in rows]).encode()),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
