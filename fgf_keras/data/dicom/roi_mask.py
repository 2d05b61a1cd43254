"""Rasterisation of a region of a structure set on a CT series, by geometry."""

from dataclasses import dataclass, fields
from functools import reduce
from itertools import combinations

import numpy as np

from fgf_keras.data.dicom.rasterise import fill_polygons
from fgf_keras.data.dicom.rtstruct import Contour, Roi, StructureSet
from fgf_keras.data.dicom.series import Series
from fgf_keras.data.prepared.masks import MaskStack
from fgf_keras.data.refusal import OTHER_FRAME, DicomError

# A contour with its position along the normal, mm.
_Placed = tuple[float, Contour]
# CLOSEDPLANAR_XOR is a newer name for the usual meaning of contours on one plane: even-odd.
CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
# Tolerance for the points of a contour to be in one plane, in mm and relative to the local gap.
FLAT_MM, FLAT_GAP = 0.05, 0.1
# Pixels; vertices that are closer are the same.
SAME_POINT = 1e-6
# Pixels; outlines that are nowhere further apart are the same, written with other digits or points.
SAME_OUTLINE = 0.05


@dataclass
class ContourCounts:
    """Numbers of contours of a region by what was done with them.

    Attributes:
        contours: in the file.
        used: rasterised.
        not_closed: of a geometric type other than CLOSED_PLANAR, skipped.
        degenerate: fewer than 3 distinct points, or all on a line; skipped.
        outside_stack: beyond the first or last slice, skipped.
        between_slices: halfway between two slices, or near a slice to which another contour of the region is
            closer; skipped.
        on_missing_slice: in a gap where slices of the series seem to be missing, skipped.
        beside_plane: used on the slice that it references, although others of the region are closer to it.
        duplicate: the same outline or the same pixels again on the same plane, skipped (even-odd would erase
            both).
        clipped: used, but extending beyond the image.
        overlapping: pairs on one plane that partly overlap; by the even-odd rule the overlap is outside.
        undrawn_slices: slices between the first and the last of the mask that are empty.
        matched, unmatched, contradicted: used contours that reference their slice, reference images that are
            not in the series, and reference a slice other than their own.
    """

    contours: int = 0
    used: int = 0
    not_closed: int = 0
    degenerate: int = 0
    outside_stack: int = 0
    between_slices: int = 0
    on_missing_slice: int = 0
    beside_plane: int = 0
    duplicate: int = 0
    clipped: int = 0
    overlapping: int = 0
    undrawn_slices: int = 0
    matched: int = 0
    unmatched: int = 0
    contradicted: int = 0

    def warnings(self) -> dict[str, int]:
        """The counts that are warnings and not 0."""
        harmless = {"contours", "used", "matched", "unmatched"}
        return {f.name: v for f in fields(self) if f.name not in harmless and (v := getattr(self, f.name))}


@dataclass(frozen=True, eq=False)
class RoiMask(MaskStack):
    """The mask of one region, with the counts of its contours."""

    counts: ContourCounts


def rasterise_roi(
    structure_set: StructureSet, roi_number: int, series: Series, *, same_frame: bool = True
) -> RoiMask:
    """Rasterise the closed contours of a region: a voxel is inside if its centre is (even-odd rule).

    A contour belongs to the slice within half the local gap. If contours are at several heights near one
    slice, those closest to it are used (of equally close ones the lower), and separate islands that reference
    the slice as their image; otherwise, the images that a contour references are not used to place it. A
    region without usable contours has an empty mask, and its counts say why.

    Args:
        structure_set: the regions.
        roi_number: ROINumber of the region to rasterise.
        series: the grid.
        same_frame: refuse a region in another frame of reference than the series. Disable this only if
            identifiers are known to have been changed.

    Raises:
        DicomError: `no_such_roi`, a region with damaged contours, `other_frame`, or `not_parallel` for
            contours that are not parallel to the slices.
    """
    roi = structure_set.roi(roi_number)
    _check_frame(roi, series, same_frame)
    counts = ContourCounts(contours=len(roi.contours))
    planes: dict[int, np.ndarray] = {}
    for index, contours in sorted(_place(roi, series, counts).items()):
        nearest, others = _by_distance(contours, series, index)
        plane = _fill(nearest, series, index, counts)
        plane = _with_islands(plane, others, series, index, counts)
        if plane.any():
            planes[index] = plane
    if planes:
        counts.undrawn_slices = max(planes) - min(planes) + 1 - len(planes)
    return RoiMask(series.shape, planes, counts)


def _check_frame(roi: Roi, series: Series, same_frame: bool) -> None:
    ours, theirs = series.frame_of_reference_uid, roi.frame_of_reference_uid
    if same_frame and ours and theirs and ours != theirs:
        raise DicomError(
            "other_frame",
            f"ROI {roi.number} is drawn in another frame of reference than the series.",
            OTHER_FRAME,
        )


def _place(roi: Roi, series: Series, counts: ContourCounts) -> dict[int, list[_Placed]]:
    """The closed contours on the stack as [(position, contour)], by slice index."""
    placed: dict[int, list[_Placed]] = {}
    for contour in roi.contours:
        if contour.kind not in CLOSED:
            counts.not_closed += 1
            continue
        if _is_degenerate(series.to_pixels(contour.points)):
            counts.degenerate += 1
            continue
        heights = contour.points @ series.orientation[2]
        # Halfway between the extremes, because the mean depends on the density of the points.
        position = (heights.min() + heights.max()) / 2
        _check_flat(roi, series, np.ptp(heights), position)
        index = series.slice_at(position)
        if index is not None:
            placed.setdefault(index, []).append((position, contour))
        elif series.positions[0] < position < series.positions[-1]:
            if int(np.searchsorted(series.positions, position)) - 1 in series.missing:
                counts.on_missing_slice += 1
            else:
                counts.between_slices += 1
        else:
            counts.outside_stack += 1
    return placed


def _check_flat(roi: Roi, series: Series, spread: float, position: float) -> None:
    nearest = int(np.argmin(abs(series.positions - position)))
    gap = 2 * series.half_gaps[nearest].min()
    if spread > max(FLAT_MM, FLAT_GAP * gap):
        raise DicomError(
            "not_parallel",
            f"ROI {roi.number} has a contour that is not parallel to the slices: it spans {spread:.2f} mm "
            "along their normal.",
            "Take the series that it was drawn on, or resample the contours to its planes.",
        )


def _is_degenerate(points: np.ndarray) -> bool:
    vertices = points[:, :2]
    if len(vertices) < 3:
        return True
    centred = vertices - vertices.mean(axis=0)
    # The second singular value is 0 for points on a line and for fewer than three distinct points.
    return bool(np.linalg.svd(centred, compute_uv=False)[1] <= SAME_POINT * np.sqrt(len(vertices)))


def _by_distance(contours: list[_Placed], series: Series, index: int) -> tuple[list[Contour], list[Contour]]:
    """The contours closest to a slice, and those at other heights, the nearest first.

    The even-odd rule over contours of different heights would turn a tumour that shrinks upwards into a ring.
    """
    distances = np.array([position for position, _ in contours]) - series.positions[index]
    # Of two at the same distance the lower one; the sign breaks the tie.
    closest = min(distances, key=lambda d: (round(abs(d) / FLAT_MM), d))
    nearest = [c for d, (_, c) in zip(distances, contours) if abs(d - closest) <= FLAT_MM]
    order = np.argsort(abs(distances), kind="stable")
    others = [contours[i][1] for i in order if abs(distances[i] - closest) > FLAT_MM]
    return nearest, others


def _fill(contours: list[Contour], series: Series, index: int, counts: ContourCounts) -> np.ndarray:
    """The pixels inside contours of one height, by the even-odd rule."""
    unique: list[tuple[np.ndarray, np.ndarray]] = []
    for contour in contours:
        vertices = series.to_pixels(contour.points, index)[:, :2]
        pixels = fill_polygons([vertices], series.shape[1:])
        if any(_is_same(vertices, pixels, *other) for other in unique):
            counts.duplicate += 1
            continue
        _count_used(contour, vertices, series, index, counts)
        unique.append((vertices, pixels))
    planes = [pixels for _, pixels in unique]
    for one, other in combinations(planes, 2):
        both = one & other
        counts.overlapping += bool(both.any() and (both != one).any() and (both != other).any())
    return reduce(np.logical_xor, planes)


def _with_islands(
    plane: np.ndarray, contours: list[Contour], series: Series, index: int, counts: ContourCounts
) -> np.ndarray:
    """Add contours of other heights that reference the slice and do not touch the pixels of the plane."""
    for contour in contours:
        vertices = series.to_pixels(contour.points, index)[:, :2]
        pixels = fill_polygons([vertices], series.shape[1:])
        is_referenced = any(series.sop_uids.get(uid) == index for uid in contour.image_uids)
        if not is_referenced or (pixels & plane).any():
            counts.between_slices += 1
            continue
        counts.beside_plane += 1
        _count_used(contour, vertices, series, index, counts)
        plane = plane | pixels
    return plane


def _count_used(
    contour: Contour, vertices: np.ndarray, series: Series, index: int, counts: ContourCounts
) -> None:
    rows, columns = series.shape[1:]
    counts.used += 1
    _cross_check(contour, series, index, counts)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    counts.clipped += bool((low < -0.5).any() or (high > (rows - 0.5, columns - 0.5)).any())


def _is_same(
    vertices: np.ndarray, pixels: np.ndarray, other_vertices: np.ndarray, other_pixels: np.ndarray
) -> bool:
    """Whether two contours are the same: equal pixels, or outlines that are nowhere far apart."""
    if pixels.any() and np.array_equal(pixels, other_pixels):
        return True
    distance = max(_farthest(vertices, other_vertices), _farthest(other_vertices, vertices))
    return distance <= SAME_OUTLINE


def _farthest(points: np.ndarray, polygon: np.ndarray) -> float:
    """The largest distance of points from the outline of a polygon."""
    start, edge = polygon, np.roll(polygon, -1, axis=0) - polygon
    offset = points[:, None] - start
    squared = np.maximum((edge**2).sum(axis=1), np.finfo(float).tiny)
    share = np.clip((offset * edge).sum(axis=2) / squared, 0, 1)
    return float(np.linalg.norm(offset - share[..., None] * edge, axis=2).min(axis=1).max())


def _cross_check(contour: Contour, series: Series, index: int, counts: ContourCounts) -> None:
    slices = {series.sop_uids[uid] for uid in contour.image_uids if uid in series.sop_uids}
    if index in slices:
        counts.matched += 1
    elif slices:
        counts.contradicted += 1
    elif contour.image_uids:
        counts.unmatched += 1
