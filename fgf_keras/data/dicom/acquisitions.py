"""Series with several acquisitions: scout views, two passes over one range, phases of contrast."""

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations

import numpy as np

from fgf_keras.data.dicom.series import SAME_ORIENTATION, SPACING_TOLERANCE, Series, stack_slices
from fgf_keras.data.dicom.slice_header import SliceHeader
from fgf_keras.data.refusal import DicomError

# Scout views are taken from one to three sides; more slices of one kind are a stack, whatever their headers
# say.
MOST_SCOUTS = 3
# Fewer slices do not have two gaps to compare, so they may not belong together.
FEWEST_SLICES = 3


def split_acquisitions(headers: Iterable[SliceHeader], accept: Collection[str] = ()) -> list[Series]:
    """Stack the slices of one series, in groups if they do not all stack together.

    Slices are grouped by size, pixel spacing, orientation, and whether their header says that they are scout
    views. Slices of one group that still do not stack are split by AcquisitionNumber, if all have one and the
    acquisitions cover the same range: consecutive acquisitions are parts of one scan, and splitting them
    would hide missing slices between them.

    Nothing is dropped except up to 3 scout views of one kind: slices that are in no stack are scout views.

    Returns:
        One stack of all slices, or stacks of 3 slices or more in the order of their acquisition numbers. If
        there are several, each has the warning `series_split`.

    Raises:
        DicomError: as `stack_slices` for all slices together, if they cannot be split.
    """
    headers = list(headers)
    try:
        return [stack_slices(headers, accept)]
    except DicomError as error:
        refusal = error
    stacks = []
    try:
        for alike in _alike(headers):
            if not (alike[0].localizer and len(alike) <= MOST_SCOUTS):
                stacks += _stacks(alike, accept)
    except DicomError:
        raise refusal from None
    # Slices missing in one group may have been put into another.
    if not stacks or any(len(series.headers) < FEWEST_SLICES or series.missing for series in stacks):
        raise refusal
    if len(stacks) > 1:
        stacks = [series.with_warnings(series_split=len(stacks)) for series in stacks]
    return sorted(stacks, key=lambda s: min((h.acquisition_number or 0, h.sop_uid) for h in s.headers))


def _stacks(alike: list[SliceHeader], accept: Collection[str]) -> list[Series]:
    """One stack, or one stack per acquisition."""
    try:
        return [stack_slices(alike, accept)]
    except DicomError:
        return [stack_slices(group, accept) for group in _by_number(alike)]


def _alike(headers: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    """Groups of one size, spacing and orientation, with or without scout views."""
    groups: list[list[SliceHeader]] = []
    for header in headers:
        for group in groups:
            if _same_kind(group[0], header):
                group.append(header)
                break
        else:
            groups.append([header])
    return groups


def _same_kind(one: SliceHeader, other: SliceHeader) -> bool:
    return (
        (one.localizer, one.rows, one.columns) == (other.localizer, other.rows, other.columns)
        and abs(one.pixel_spacing - other.pixel_spacing).max() <= SPACING_TOLERANCE * one.pixel_spacing.min()
        and abs(one.orientation - other.orientation).max() <= SAME_ORIENTATION
    )


def _by_number(headers: list[SliceHeader]) -> list[list[SliceHeader]]:
    """One group per acquisition, or a single group if the numbers do not distinguish passes."""
    numbers = {header.acquisition_number for header in headers}
    if None in numbers or len(numbers) < 2:
        return [headers]
    ordered = sorted(number for number in numbers if number is not None)
    groups = [[h for h in headers if h.acquisition_number == number] for number in ordered]
    ranges = [_range(group) for group in groups]
    if any(min(a[1], b[1]) <= max(a[0], b[0]) for a, b in combinations(ranges, 2)):
        return [headers]
    return groups


def _range(headers: Sequence[SliceHeader]) -> tuple[float, float]:
    """The lowest and highest position along the normal, mm."""
    normal = np.cross(*headers[0].orientation)
    positions = [float(header.position @ normal) for header in headers]
    return min(positions), max(positions)
