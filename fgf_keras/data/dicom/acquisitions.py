"""A series that holds several acquisitions: a scout view, two passes over one range, phases of contrast."""

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from fgf_keras.data.dicom.series import SAME_ORIENTATION, SPACING_TOLERANCE, Series, stack_slices
from fgf_keras.data.dicom.slice_header import SliceHeader
from fgf_keras.data.refusal import DicomError

# Scout views are taken from one to three sides; more slices of a kind are a stack, whatever they call
# themselves.
MOST_SCOUTS = 3
# Fewer slices have no two gaps to compare, so nothing says that they belong together.
FEWEST_SLICES = 3


def split_acquisitions(headers: Iterable[SliceHeader], accept: Collection[str] = ()) -> list[Series]:
    """Stack the slices of one series, in groups where they do not stack all together.

    Slices are told apart by their size, pixel spacing, orientation, and whether they say that they are scout
    views. Slices that are alike in these and still do not stack are told apart by AcquisitionNumber, if all
    have one and the acquisitions cover the same range: acquisitions one behind the other are parts of one
    scan, and splitting them would hide that slices are missing between them.

    Nothing is dropped but up to 3 scout views of a kind: slices that are in no stack are scout views.

    Returns:
        One stack of all, or stacks of 3 slices or more in the order of their acquisition numbers; each of
        several has the warning `series_split`.

    Raises:
        DicomError: as `stack_slices` on all slices together, where they cannot be split so.
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
    # What is missing in one group may be what was put into another.
    if not stacks or any(len(series.headers) < FEWEST_SLICES or series.missing for series in stacks):
        raise refusal
    if len(stacks) > 1:
        stacks = [series.with_warnings(series_split=len(stacks)) for series in stacks]
    return sorted(stacks, key=lambda s: min((h.acquisition_number or 0, h.sop_uid) for h in s.headers))


def _stacks(alike, accept):
    """One stack, or one an acquisition."""
    try:
        return [stack_slices(alike, accept)]
    except DicomError:
        return [stack_slices(group, accept) for group in _by_number(alike)]


def _alike(headers) -> list[list[SliceHeader]]:
    """Groups of one size, spacing and orientation, of scout views or of none."""
    groups: list[Any] = []
    for header in headers:
        for group in groups:
            if _same_kind(group[0], header):
                group.append(header)
                break
        else:
            groups.append([header])
    return groups


def _same_kind(one, other):
    return (
        (one.localizer, one.rows, one.columns) == (other.localizer, other.rows, other.columns)
        and abs(one.pixel_spacing - other.pixel_spacing).max() <= SPACING_TOLERANCE * one.pixel_spacing.min()
        and abs(one.orientation - other.orientation).max() <= SAME_ORIENTATION
    )


def _by_number(headers) -> list[list[SliceHeader]]:
    """One group an acquisition, or all in one where the numbers do not tell passes apart."""
    numbers = {header.acquisition_number for header in headers}
    if None in numbers or len(numbers) < 2:
        return [headers]
    groups = [[h for h in headers if h.acquisition_number == number] for number in sorted(numbers)]
    ranges = [_range(group) for group in groups]
    if any(min(a[1], b[1]) <= max(a[0], b[0]) for a, b in combinations(ranges, 2)):
        return [headers]
    return groups


def _range(headers: Sequence[SliceHeader]):
    """Lowest and highest position along the normal, mm."""
    normal = np.cross(*headers[0].orientation)
    positions = [header.position @ normal for header in headers]
    return min(positions), max(positions)
