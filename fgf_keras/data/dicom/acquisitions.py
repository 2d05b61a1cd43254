"""A series that holds several acquisitions: a scout view, two passes over one range, phases of contrast."""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from fgf_keras.data.dicom.refusal import DicomError
from fgf_keras.data.dicom.series import ORIENTATION_TOLERANCE, SPACING_TOLERANCE, stack_slices
from fgf_keras.data.dicom.slice_header import SliceHeader

# Scout views are taken from one to three sides; more slices of a kind are a stack, whatever they call
# themselves.
MOST_SCOUTS = 3
# Fewer slices have no two gaps to compare, so nothing says that they belong together.
FEWEST_SLICES = 3


def split_acquisitions(headers: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    """Split the slices of one series into groups that stack; one group where all of them do.

    Slices are told apart by their size, pixel spacing, orientation, and whether they say that they are scout
    views. Slices that are alike in these and still do not stack are told apart by AcquisitionNumber, if all
    have one and the acquisitions cover the same range: acquisitions one behind the other are parts of one
    scan, and splitting them would hide that slices are missing between them.

    Nothing is dropped but up to 3 scout views of a kind: slices that are in no group are scout views.

    Returns:
        Groups of 3 slices or more, each of which `stack_slices` takes; in the order of their acquisition
        numbers.

    Raises:
        DicomError: as `stack_slices` on all slices together, where they cannot be split so.
    """
    headers = list(headers)
    refusal = _refusal(headers)
    if refusal is None:
        return [headers]
    groups = []
    for alike in _alike(headers):
        if alike[0].localizer and len(alike) <= MOST_SCOUTS:
            continue
        groups += [alike] if _refusal(alike) is None else _by_number(alike)
    if not groups or any(len(group) < FEWEST_SLICES or _refusal(group) for group in groups):
        raise refusal
    return sorted(groups, key=lambda group: min((h.acquisition_number or 0, h.sop_uid) for h in group))


def _refusal(headers) -> DicomError | None:
    try:
        stack_slices(headers)
    except DicomError as error:
        return error
    return None


def _alike(headers) -> list[list[SliceHeader]]:
    """Groups of one size, spacing and orientation, of scout views or of none."""
    groups = []
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
        and abs(one.orientation - other.orientation).max() <= ORIENTATION_TOLERANCE
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
