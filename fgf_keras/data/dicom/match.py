"""Matching of regions and CT series by frame of reference and geometry."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fgf_keras.config.data import RoiConfig
from fgf_keras.data.dicom.index import SeriesEntry
from fgf_keras.data.dicom.roi_mask import RoiMask, rasterise_roi
from fgf_keras.data.dicom.rois import choose_rois
from fgf_keras.data.dicom.rtstruct import read_structure_set
from fgf_keras.data.dicom.seg import read_referenced_series, read_segmentation
from fgf_keras.data.dicom.series import Series
from fgf_keras.data.prepared.masks import MaskStack
from fgf_keras.data.refusal import DicomError

# Errors that mean that a region does not belong to a series, but perhaps to another one.
ELSEWHERE = {"other_frame", "not_parallel", "off_grid"}


@dataclass(frozen=True, eq=False)
class Region:
    """The tumour on a series.

    Attributes:
        series: the CT series of the region.
        mask: the union of the regions, not empty.
        object: `rtstruct` or `seg`.
        numbers, names: of the regions, in file order.
        warnings: number of occurrences of each warning, including those of the series.
    """

    series: Series
    mask: MaskStack
    object: str
    numbers: tuple[int, ...]
    names: tuple[str, ...]
    warnings: dict[str, int]


class _Match(NamedTuple):
    """A region on one series.

    Attributes:
        region: the region.
        matched: number of contours that reference images of the series.
        named: whether the file references the series.
        left_over: number of contours that are on no slice of the series.
    """

    region: Region
    matched: int
    named: bool
    left_over: int


def choose(
    candidates: dict[int, str], rule: RoiConfig, names: Sequence[str] | None, size: Callable[[int], float]
) -> tuple[int, ...]:
    """The numbers of the regions that a rule chooses; if `names` are given by a table, all must exist.

    Raises:
        DicomError: as `choose_rois`.
    """
    if names is None:
        return choose_rois(
            candidates, names=rule.names, pattern=rule.pattern, strategy=rule.strategy, size=size
        )
    chosen: set[int] = set()
    for name in names:
        chosen.update(choose_rois(candidates, names=[name], strategy=rule.strategy, size=size))
    return tuple(number for number in candidates if number in chosen)


def find_region(
    stacks: Sequence[Series],
    objects: Sequence[SeriesEntry],
    rule: RoiConfig,
    names: Sequence[str] | None,
    accept: Collection[str] = (),
) -> Region:
    """Find the tumour among structure sets and segmentations, and the series that it was drawn on.

    Objects are tried in the order of `rule.objects`, and within one kind those that match the first of
    `rule.series_description` that matches any. Of several possible series, the one on which no contour is
    left over is preferred, then the one whose images the contours reference, then the one that the file
    references.

    Args:
        stacks: CT series of the patient.
        objects: RTSTRUCT and SEG of the patient.
        rule: which region is the tumour.
        names: names of the regions from a table; None to use those of the rule.
        accept: with "gaps", slices may be missing inside the region; a warning counts them.

    Raises:
        DicomError: there is no object, no matching region or several, no series of the region or several, or
            an object cannot be read.
    """
    files = _preferred(objects, rule)
    refusals, regions = [], []
    for kind in rule.objects:
        for path in files.get(kind, ()):
            try:
                regions += _on_its_series(path, kind, stacks, rule, names)
            except DicomError as error:
                # Another file may have the region; but damaged or ambiguous files must not be skipped.
                if error.kind not in {"no_roi", "no_voxel", *ELSEWHERE}:
                    raise
                refusals.append(error)
        if regions:
            region = _only(regions)
            if refusals and kind != rule.objects[0]:
                region.warnings["preferred_object_passed_over"] = len(refusals)
            _check_missing(region, accept)
            return region
    raise _foremost(refusals)


def _preferred(objects: Sequence[SeriesEntry], rule: RoiConfig) -> dict[str, list[Path]]:
    """The files to search for the region, by kind of object."""
    files: dict[str, list[Path]] = {}
    for kind in rule.objects:
        entries = [entry for entry in objects if entry.modality == kind.upper()]
        if rule.series_description:
            entries = next(filter(None, (_described(entries, p) for p in rule.series_description)), [])
        damaged = sum(entry.rejected for entry in entries)
        if damaged:
            raise DicomError(
                "incomplete_object",
                f"{damaged} {kind.upper()} files of the patient cannot be used; they may hold the region.",
                "See the reasons in the list of rejected files; repair or remove them.",
            )
        files[kind] = [path for entry in entries for path in entry.files]
    if not any(files.values()):
        present = ", ".join(f"{n} {m}" for m, n in sorted(Counter(e.modality for e in objects).items()))
        raise DicomError(
            "no_object",
            f"No {' or '.join(kind.upper() for kind in rule.objects)} "
            + ("fits data.roi.series_description." if rule.series_description else "of this patient."),
            f"There are: {present or 'none'}. Add the missing file, or adapt data.roi.",
        )
    return files


def _described(entries: Iterable[SeriesEntry], pattern: str) -> list[SeriesEntry]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return [entry for entry in entries if compiled.fullmatch(entry.description)]


def _on_its_series(
    path: Path, kind: str, stacks: Sequence[Series], rule: RoiConfig, names: Sequence[str] | None
) -> list[Region]:
    """The region of one file on its series; on several only if nothing distinguishes them."""
    read = _structure_set if kind == "rtstruct" else _segmentation
    region_on = read(path, rule, names)
    matches, refusals = [], []
    for series in stacks:
        try:
            matches.append(region_on(series))
        except DicomError as error:
            if error.kind not in ELSEWHERE and error.kind != "no_voxel":
                raise
            refusals.append(error)
    if not matches:
        raise _foremost(refusals)
    candidates = [match for match in matches if not match.left_over] or matches
    for criterion in ("matched", "named"):
        preferred = [match for match in candidates if getattr(match, criterion)]
        if len(preferred) == 1:
            candidates = preferred
    return [match.region for match in candidates]


def _structure_set(path: Path, rule: RoiConfig, names: Sequence[str] | None) -> Callable[[Series], _Match]:
    """A function that returns the region of a structure set on a series."""
    structures = read_structure_set(path)

    def region_on(series: Series) -> _Match:
        masks: dict[int, RoiMask] = {}

        def mask(number: int) -> RoiMask:
            if number not in masks:
                masks[number] = rasterise_roi(
                    structures, number, series, same_frame=not rule.ignore_frame_of_reference
                )
            return masks[number]

        numbers = choose(structures.names, rule, names, lambda number: mask(number).areas().sum())
        counts = sum((Counter(mask(n).counts.warnings()) for n in numbers), Counter())
        # Not among the counts: the contours may reference images, but none of this series.
        matched = sum(mask(n).counts.matched for n in numbers)
        region = _region(series, "rtstruct", numbers, structures.names, mask, counts)
        left_over = counts["outside_stack"] + counts["between_slices"] + counts["on_missing_slice"]
        return _Match(region, matched, series.series_uid in structures.series_uids, left_over)

    return region_on


def _segmentation(path: Path, rule: RoiConfig, names: Sequence[str] | None) -> Callable[[Series], _Match]:
    """Like `_structure_set`, for a segmentation."""
    referenced = read_referenced_series(path)

    def region_on(series: Series) -> _Match:
        segments = read_segmentation(
            path, series, threshold=rule.fraction, same_frame=not rule.ignore_frame_of_reference
        )
        labels = {number: segment.label for number, segment in segments.items()}
        numbers = choose(labels, rule, names, lambda number: segments[number].areas().sum())
        counts = Counter(off_grid=sum(segments[number].off_grid for number in numbers))
        region = _region(series, "seg", numbers, labels, lambda number: segments[number], +counts)
        return _Match(region, 0, series.series_uid in referenced, 0)

    return region_on


def _region(
    series: Series,
    kind: str,
    numbers: tuple[int, ...],
    names: Mapping[int, str],
    mask: Callable[[int], MaskStack],
    counts: Counter[str],
) -> Region:
    union = reduce(or_, (mask(number) for number in numbers))
    if not union:
        raise DicomError(
            "no_voxel",
            f"No voxel of the series has its centre inside the region {_named(numbers, names)}"
            + (f" ({', '.join(f'{k}: {v}' for k, v in counts.items())})." if counts else "."),
            "Take the CT series that it was drawn on, or another region.",
        )
    warnings = dict(counts) | series.warnings
    return Region(series, union, kind, numbers, tuple(names[n] for n in numbers), warnings)


def _check_missing(region: Region, accept: Collection[str]) -> None:
    """Refuse a region if slices are missing inside it; other missing slices are only a warning."""
    series = region.series
    if not series.missing:
        return
    first, last = min(region.mask.planes), max(region.mask.planes)
    inside = [i for i in series.missing if first <= i < last]
    drawn = region.warnings.get("on_missing_slice", 0)
    if (inside or drawn) and "gaps" not in accept:
        i = inside[0] if inside else next(iter(series.missing))
        below, above = series.positions[[i, i + 1]]
        raise DicomError(
            "missing_slice",
            f"Slices of the series are missing where the region lies: between {below:.2f} and {above:.2f} mm "
            f"the gap is {above - below:.2f} mm, the usual gap {series.spacing[0]:.2f} mm.",
            "Download the series again; slices that were rejected are listed with their reason. "
            "data.accept: [gaps] takes the slices that are there.",
        )
    region.warnings["missing_slices"] = sum(series.missing.values())


def _only(regions: Sequence[Region]) -> Region:
    """The single region, after checking that all regions agree."""
    first = regions[0]
    for other in regions[1:]:
        if other.series is not first.series:
            by_uid = {region.series.series_uid: region.series for region in regions}
            description = "; ".join(f"{uid} with {s.shape[0]} slices" for uid, s in by_uid.items())
            raise DicomError(
                "ambiguous_series",
                f"The region lies on {len(regions)} stacks of slices alike: {description}.",
                "Leave the one in data.root that it was drawn on.",
            )
        if not np.array_equal(first.mask.volume(), other.mask.volume()):
            raise DicomError(
                "ambiguous_object",
                f"{len(regions)} structure sets or segmentations have the region, and they differ.",
                "Choose one with data.roi.series_description, or leave only one in data.root.",
            )
    return first


def _foremost(refusals: Sequence[DicomError]) -> DicomError:
    """Of several errors, the one that came closest to a region."""
    order = ["no_voxel", "no_roi", "off_grid", "not_parallel", "other_frame"]
    return min(refusals, key=lambda error: order.index(error.kind))


def _named(numbers: Iterable[int], names: Mapping[int, str]) -> str:
    return ", ".join(f"{number} {names[number]!r}" for number in numbers)
