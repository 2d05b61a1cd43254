"""A region of a structure set as a mask on a CT series, placed by geometry."""

from collections import Counter
from dataclasses import dataclass, fields
from functools import reduce
from itertools import combinations

import numpy as np

from fgf_keras.data.dicom.masks import MaskStack
from fgf_keras.data.dicom.rasterise import fill_polygons
from fgf_keras.data.dicom.refusal import DicomError
from fgf_keras.data.dicom.rtstruct import StructureSet
from fgf_keras.data.dicom.series import Series

# CLOSEDPLANAR_XOR is the newer name of what contours on one plane always meant: even-odd.
CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
# A contour lies in one plane within this, in mm or relative to the local gap.
FLAT_MM, FLAT_GAP = 0.05, 0.1
# Pixels: vertices closer than this are one, contours with all vertices closer than this are one.
SAME_POINT = 1e-6


@dataclass
class ContourCounts:
    """What became of the contours of a region. All but `used` and `matched` deserve a look.

    Attributes:
        contours: in the file.
        used: rasterised.
        not_closed: of another geometric type than CLOSED_PLANAR, skipped.
        degenerate: fewer than 3 distinct points or all on a line, skipped.
        outside_stack: beyond the first or last slice, skipped.
        between_slices: halfway between two slices, or beside a contour of the same region that lies closer to
            the same slice; skipped.
        duplicate: the same polygon again on the same plane, skipped (even-odd would erase both).
        clipped: used, but reaching beyond the image.
        overlapping: pairs on one plane that partly overlap; by the even-odd rule the overlap is outside.
        undrawn_slices: slices between the first and the last of the mask that have none of it.
        matched, unmatched, contradicted: contours used that name their slice, name images that are not in the
            series, and name another slice than the one where they lie.
    """

    contours: int = 0
    used: int = 0
    not_closed: int = 0
    degenerate: int = 0
    outside_stack: int = 0
    between_slices: int = 0
    duplicate: int = 0
    clipped: int = 0
    overlapping: int = 0
    undrawn_slices: int = 0
    matched: int = 0
    unmatched: int = 0
    contradicted: int = 0

    def warnings(self) -> dict[str, int]:
        """The counts that deserve a look and are not 0."""
        fine = {"contours", "used", "matched", "unmatched"}
        return {f.name: v for f in fields(self) if f.name not in fine and (v := getattr(self, f.name))}


@dataclass(frozen=True, eq=False)
class RoiMask(MaskStack):
    """The mask of one region, and what became of its contours."""

    counts: ContourCounts


def rasterise_roi(
    structure_set: StructureSet, roi_number: int, series: Series, *, same_frame: bool = True
) -> RoiMask:
    """Rasterise a region's closed contours: a voxel is inside exactly when its centre is (even-odd).

    A contour belongs to the slice within half the local gap. Where contours lie at several heights near one
    slice, those closest to it count (of equals the lower). Images that a contour names are not used to place
    it. A region without usable contours gives an empty mask; its counts say why.

    Args:
        structure_set: the regions.
        roi_number: ROINumber of the one to rasterise.
        series: the grid.
        same_frame: refuse a region in another frame of reference than the series. Turn it off only where
            identifiers are known to have been changed.

    Raises:
        DicomError: `no_such_roi`, a region with damaged contours, `other_frame`, or `not_parallel` for
            contours that are not parallel to the slices.
    """
    roi = structure_set.roi(roi_number)
    _check_frame(roi, series, same_frame)
    counts = ContourCounts(contours=len(roi.contours))
    placed = _nearest_only(_place(roi, series, counts), series, counts)
    planes = {}
    for index, contours in sorted(placed.items()):
        plane = _fill(contours, series, index, counts)
        if plane.any():
            planes[index] = plane
    if planes:
        counts.undrawn_slices = max(planes) - min(planes) + 1 - len(planes)
    return RoiMask(series.shape, planes, counts)


def _check_frame(roi, series, same_frame):
    ours, theirs = series.frame_of_reference_uid, roi.frame_of_reference_uid
    if same_frame and ours and theirs and ours != theirs:
        raise DicomError(
            "other_frame",
            f"ROI {roi.number} is drawn in another frame of reference than the series.",
            "Take the CT series that it was drawn on.",
        )


def _place(roi, series, counts):
    """Slice index to [(position, contour)], of closed contours that lie on the stack."""
    placed = {}
    for contour in roi.contours:
        if contour.kind not in CLOSED:
            counts.not_closed += 1
            continue
        if _is_degenerate(series.to_pixels(contour.points)):
            counts.degenerate += 1
            continue
        heights = contour.points @ series.orientation[2]
        # Halfway between the extremes: the mean depends on where the points are dense.
        position = (heights.min() + heights.max()) / 2
        _check_flat(roi, series, np.ptp(heights), position)
        index = series.slice_at(position)
        if index is not None:
            placed.setdefault(index, []).append((position, contour))
        elif series.positions[0] < position < series.positions[-1]:
            counts.between_slices += 1
        else:
            counts.outside_stack += 1
    return placed


def _check_flat(roi, series, spread, position):
    nearest = int(np.argmin(abs(series.positions - position)))
    gap = 2 * series.half_gaps[nearest].min()
    if spread > max(FLAT_MM, FLAT_GAP * gap):
        raise DicomError(
            "not_parallel",
            f"ROI {roi.number} has a contour that is not parallel to the slices: it spans {spread:.2f} mm "
            "along their normal.",
            "Take the series that it was drawn on, or resample the contours to its planes.",
        )


def _is_degenerate(points):
    vertices = points[:, :2]
    if len(vertices) < 3:
        return True
    centred = vertices - vertices.mean(axis=0)
    # The second singular value is 0 for points on a line, and for fewer than three distinct ones.
    return bool(np.linalg.svd(centred, compute_uv=False)[1] <= SAME_POINT * np.sqrt(len(vertices)))


def _nearest_only(placed, series, counts):
    """Of contours at several heights near one slice those that lie closest to it.

    Even-odd over contours of different heights would turn a tumour that shrinks upwards into a ring.
    """
    kept = {}
    for index, contours in placed.items():
        distances = np.array([position for position, _ in contours]) - series.positions[index]
        # Of two at the same distance the lower one: the sign breaks the tie.
        closest = min(distances, key=lambda d: (round(abs(d) / FLAT_MM), d))
        kept[index] = [c for d, (_, c) in zip(distances, contours) if abs(d - closest) <= FLAT_MM]
        counts.between_slices += len(contours) - len(kept[index])
    return kept


def _fill(contours, series, index, counts):
    rows, columns = series.shape[1:]
    drawn, seen = [], set()
    for contour in contours:
        vertices = series.to_pixels(contour.points, index)[:, :2]
        if len(contours) > 1:
            edges = _edge_set(vertices)
            if edges in seen:
                counts.duplicate += 1
                continue
            seen.add(edges)
        counts.used += 1
        _cross_check(contour, series, index, counts)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        counts.clipped += bool((low < -0.5).any() or (high > (rows - 0.5, columns - 0.5)).any())
        drawn.append(fill_polygons([vertices], (rows, columns)))
    for one, other in combinations(drawn, 2):
        common = np.count_nonzero(one & other)
        counts.overlapping += bool(0 < common < min(np.count_nonzero(one), np.count_nonzero(other)))
    # Even-odd over all contours together is the exclusive or of each alone.
    return reduce(np.logical_xor, drawn)


def _edge_set(vertices):
    """What two drawings of one polygon have in common, whatever their first point and direction."""
    points = [tuple(point) for point in np.round(vertices / SAME_POINT).astype(np.int64).tolist()]
    edges = (tuple(sorted(pair)) for pair in zip(points, points[1:] + points[:1]))
    return frozenset(Counter(edge for edge in edges if edge[0] != edge[1]).items())


def _cross_check(contour, series, index, counts):
    known = {series.sop_uids[uid] for uid in contour.image_uids if uid in series.sop_uids}
    if index in known:
        counts.matched += 1
    elif known:
        counts.contradicted += 1
    elif contour.image_uids:
        counts.unmatched += 1
