"""The DICOM files of a patient, and the choice of one slice with its tumour."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fgf_keras.config.data import DataConfig, RoiConfig
from fgf_keras.data.box import BoxRule
from fgf_keras.data.dicom.box import read_box, source_slice
from fgf_keras.data.dicom.index import FolderIndex, SeriesEntry, index_folder
from fgf_keras.data.dicom.match import Region, find_region
from fgf_keras.data.dicom.series import Series
from fgf_keras.data.prepared.pick import pick_slice
from fgf_keras.data.prepared.source import RejectedPatient, SourceSlice
from fgf_keras.data.refusal import DicomError
from fgf_keras.data.tables import read_region_names

# A series that is not a stack of slices, with the error.
_Refusal = tuple[SeriesEntry, DicomError]


@dataclass(frozen=True)
class DicomPatient:
    """The files of one patient, and the rules for choosing among them.

    Attributes:
        patient_id: PatientID.
        fingerprint: of the SOP instances and sizes of the files, of `names` and of `accept`; it does not
            reveal a change within a file that keeps SOP instance and size.
        images: CT series.
        objects: structure sets and segmentations.
        rule, names: which region is the tumour; see `find_region`.
        slice_rule: see `pick_slice`.
        accept: errors that become warnings, `data.accept`.
        box: if given, a box around the tumour is cropped instead of a slice.
    """

    patient_id: str
    fingerprint: str
    images: tuple[SeriesEntry, ...]
    objects: tuple[SeriesEntry, ...]
    rule: RoiConfig
    names: tuple[str, ...] | None
    slice_rule: str
    accept: tuple[str, ...] = ()
    box: BoxRule | None = None

    def choose(self) -> tuple[Region, int] | RejectedPatient:
        """The region and the index of the slice; reads contours, but neither headers nor pixels."""
        stage = "series"
        try:
            stacks, refused = self._stacks()
            stage = "region"
            region = self._region(stacks, refused)
        except DicomError as error:
            return RejectedPatient(self.patient_id, stage, error.reason, error.remedy)
        if refused:
            region.warnings["series_refused"] = len(refused)
        return region, pick_slice(region.mask, self.slice_rule)

    def read(self) -> SourceSlice | RejectedPatient:
        """Like `choose`, and reads the pixels of the slice or of the box.

        Raises:
            SourceError: the tumour does not fit the box, or vanishes in it.
        """
        choice = self.choose()
        if isinstance(choice, RejectedPatient):
            return choice
        region, index = choice
        series = region.series
        try:
            if self.box is not None:
                return read_box(region, self.box, self.accept)
            hu = series.read_hu(index, self.accept)
        except DicomError as error:
            return RejectedPatient(self.patient_id, "pixels", error.reason, error.remedy)
        warnings = region.warnings | series.headers[index].warnings
        return source_slice(region, index, hu, region.mask.planes[index], series.spacing, warnings)

    def _stacks(self) -> tuple[list[Series], list[_Refusal]]:
        """The series that are stacks of slices, and the others with their errors."""
        stacks: list[Series] = []
        refused: list[_Refusal] = []
        for entry in self.images:
            try:
                stacks += entry.stacks(self.accept)
            except DicomError as error:
                refused.append((entry, error))
        if not stacks:
            raise (
                refused[0][1]
                if refused
                else DicomError(
                    "no_series",
                    "There is no CT series of this patient.",
                    "Add it, or drop the patient's row.",
                )
            )
        return stacks, refused

    def _region(self, stacks: list[Series], refused: list[_Refusal]) -> Region:
        if self.names is not None and not self.names:
            raise DicomError(
                "no_name", "data.roi.table names no region of this patient.", "Add one to the table."
            )
        try:
            return find_region(stacks, self.objects, self.rule, self.names, self.accept)
        except DicomError as error:
            raise self._reason(error, refused) from None

    def _reason(self, error: DicomError, refused: list[_Refusal]) -> DicomError:
        """Why there is no region: it may belong to a refused series, if the frame of reference matches."""
        if error.kind not in {"other_frame", "no_voxel", "off_grid", "not_parallel"}:
            return error
        frames = {frame for entry in self.objects for frame in entry.frame_of_reference_uids}
        for entry, refusal in refused:
            if not frames or not entry.frame_of_reference_uids or frames & {*entry.frame_of_reference_uids}:
                return refusal
        return error


def dicom_patients(
    config: DataConfig, *, n_jobs: int = 1
) -> tuple[list[DicomPatient], list[RejectedPatient]]:
    """All patients below `config.root`, sorted by PatientID, and the files that cannot be used.

    In the reasons, files are numbered in the order of their paths, as in `fgf inspect`; paths are left out,
    because they may contain names.

    Raises:
        DataError: the folder or the table of regions does not exist or cannot be read.
    """
    index = index_folder(config.root_folder, n_jobs=n_jobs)
    return group_patients(index, config), _rejected_files(index, config)


def group_patients(index: FolderIndex, config: DataConfig) -> list[DicomPatient]:
    """The patients in a folder, sorted by PatientID.

    Raises:
        DataError: the table of regions does not exist or cannot be read.
    """
    table = _region_table(config)
    images: dict[str, list[SeriesEntry]] = {}
    objects: dict[str, list[SeriesEntry]] = {}
    for entry in index.series:
        if entry.modality == "CT":
            images.setdefault(entry.patient_id, []).append(entry)
    for entry in (*index.structure_sets, *index.segmentations):
        objects.setdefault(entry.patient_id, []).append(entry)
    patients = []
    for patient_id in sorted({*images, *objects} - {""}):
        series, regions = images.get(patient_id, []), objects.get(patient_id, [])
        names = None if table is None else table.get(patient_id, ())
        patients.append(
            DicomPatient(
                patient_id=patient_id,
                fingerprint=_fingerprint([*series, *regions], names, config.accept),
                images=tuple(series),
                objects=tuple(regions),
                rule=config.roi,
                names=names,
                slice_rule=config.slice,
                accept=tuple(config.accept),
                box=BoxRule.of(config),
            )
        )
    return patients


def _region_table(config: DataConfig) -> dict[str, tuple[str, ...]] | None:
    table = config.roi.table
    if table is None:
        return None
    return read_region_names(
        config.root_folder / table.file,
        id_column=table.id_column,
        name_columns=table.name_columns,
        separator=config.separator,
        sheets=table.sheets,
    )


def table_names(config: DataConfig) -> set[str]:
    """The files below the root that are not DICOM files but tables named in the configuration."""
    return {Path(table).as_posix() for table in config.tables}


def _fingerprint(entries: Sequence[SeriesEntry], names: tuple[str, ...] | None, accept: Iterable[str]) -> str:
    instances = sorted(instance for entry in entries for instance in entry.instances)
    return hashlib.sha256(repr((instances, names, *sorted(accept))).encode()).hexdigest()[:32]


def _rejected_files(index: FolderIndex, config: DataConfig) -> list[RejectedPatient]:
    entries = (*index.series, *index.structure_sets, *index.segmentations, *index.others)
    patients: dict[str | None, str] = {entry.series_uid: entry.patient_id for entry in entries}
    tables = table_names(config)
    rejected = [
        RejectedPatient(
            patients.get(file.series_uid, ""), "file", f"File {number}: {file.reason}", file.remedy
        )
        for number, file in enumerate(index.rejected, start=1)
        if file.path not in tables
    ]
    nameless = [
        entry
        for entry in (*index.series, *index.structure_sets, *index.segmentations)
        if not entry.patient_id
    ]
    if nameless:
        rejected.append(
            RejectedPatient(
                "",
                "series",
                f"{len(nameless)} series have no PatientID.",
                "Write one into their files; nothing else identifies a patient.",
            )
        )
    return rejected
