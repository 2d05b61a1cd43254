"""The contents of a folder of DICOM files as a table."""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import rich.table
from rich.markup import escape

from fgf_keras.config.data import DataConfig
from fgf_keras.data.dicom.index import FolderIndex, SeriesEntry, index_folder
from fgf_keras.data.dicom.patient import DicomPatient, group_patients
from fgf_keras.data.dicom.rois import compiled_pattern, composed
from fgf_keras.data.dicom.rtstruct import read_structure_set
from fgf_keras.data.dicom.seg import read_segment_labels
from fgf_keras.data.dicom.series import Series
from fgf_keras.data.prepared.source import RejectedPatient
from fgf_keras.data.refusal import DicomError
from fgf_keras.errors import ConfigError

COLUMNS = ("patient", "kind", "content", "chosen")
# Sorts after the kinds of files.
CHOICE = "→ config"


def inspect_folder(
    root: Path, *, pattern: str | None = None, config: DataConfig | None = None
) -> tuple[list[tuple[str, ...]], FolderIndex]:
    """One row per CT series, structure set or segmentation; pixels are not read, nothing is written.

    Args:
        root: folder with any layout.
        pattern: regular expression for region names; regions whose whole name matches are listed as chosen.
            Case and surrounding blanks are ignored.
        config: adds one row per patient with the region, series and slice that it would choose, or the
            reason why there is none.

    Returns:
        Rows of `COLUMNS`, sorted by patient, and the index with its rejected files.

    Raises:
        DataError: the folder or the table of regions does not exist.
        ConfigError: the pattern is not a regular expression.
    """
    compiled = _compiled(pattern)
    index = index_folder(root)
    accept = config.accept if config else ()
    rows: list[tuple[str, ...]] = [(e.patient_id, e.modality, _series(e, accept), "") for e in index.series]
    for entry in index.structure_sets:
        rows += [
            (entry.patient_id, "RTSTRUCT", *_regions(_structure_set, path, compiled)) for path in entry.files
        ]
    for entry in index.segmentations:
        rows += [(entry.patient_id, "SEG", *_regions(_segments, path, compiled)) for path in entry.files]
    if config:
        rows += [_choice(patient) for patient in group_patients(index, config)]
    return sorted(rows, key=lambda row: row[:2]), index


def inspect_table(rows: Sequence[tuple[str, ...]]) -> rich.table.Table:
    """The rows of `inspect_folder` for a terminal."""
    columns = COLUMNS if any(row[-1] for row in rows) else COLUMNS[:-1]
    table = rich.table.Table(*(rich.table.Column(name, overflow="fold") for name in columns))
    for row in rows:
        table.add_row(*(escape(cell) for cell in row[: len(columns)]))
    return table


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else compiled_pattern(pattern)
    except re.error as error:
        raise ConfigError(f"--roi {pattern!r} is not a regular expression: {error}.") from None


def _choice(patient: DicomPatient) -> tuple[str, ...]:
    choice = patient.choose()
    if isinstance(choice, RejectedPatient):
        return patient.patient_id, CHOICE, f"none: {choice.reason} {choice.remedy}", ""
    region, index = choice
    regions = ", ".join(f"{number}: {name}" for number, name in zip(region.numbers, region.names))
    where = f"slice index {index} of {region.series.shape[0]}, {region.mask.areas()[index]} pixels inside"
    warnings = "".join(f", {what}: {count}" for what, count in region.warnings.items())
    return patient.patient_id, CHOICE, f"{region.object.upper()} {regions}; {where}{warnings}", ""


def _series(entry: SeriesEntry, accept: Collection[str]) -> str:
    if entry.modality != "CT":
        return f"{len(entry.files)} files, not used"
    try:
        stacks = entry.stacks(accept)
    except DicomError as error:
        return f"{len(entry.files)} files, refused: {error.reason}"
    left_out = len(entry.headers) - sum(len(series.headers) for series in stacks)
    scouts = [f"{left_out} scout views left out"] if left_out else []
    return "; ".join([*(_stack(series) for series in stacks), *scouts])


def _stack(series: Series) -> str:
    slices, rows, columns = series.shape
    spacing = " × ".join(f"{mm:.3g}" for mm in series.spacing)
    missing = sum(series.missing.values())
    gaps = f", {missing} slices seem to be missing" if missing else ""
    warnings = "".join(f", {what}: {count}" for what, count in series.warnings.items())
    return f"{slices} slices of {rows} × {columns}, {spacing} mm{gaps}{warnings}"


def _regions(
    names: Callable[[Path], dict[int, tuple[str, str]]], path: Path, pattern: re.Pattern[str] | None
) -> tuple[str, str]:
    """Text with all regions, and with those that match the pattern."""
    try:
        regions = names(path)
    except DicomError as error:
        return f"refused: {error.reason}", ""
    matching = [
        f"{number}: {name}"
        for number, (name, _) in regions.items()
        if pattern and pattern.fullmatch(composed(name))
    ]
    content = ", ".join(f"{number}: {name}{size}" for number, (name, size) in regions.items())
    return content or "no regions", ", ".join(matching)


def _structure_set(path: Path) -> dict[int, tuple[str, str]]:
    rois = read_structure_set(path).rois
    return {number: (roi.name, f" ({roi.contour_count} contours)") for number, roi in rois.items()}


def _segments(path: Path) -> dict[int, tuple[str, str]]:
    return {number: (label, "") for number, label in read_segment_labels(path).items()}
