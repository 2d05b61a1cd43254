"""A CT series as a stack of slices in the order of their positions."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fgf_keras.data.dicom.pixels import read_hu
from fgf_keras.data.dicom.slice_header import SliceHeader, read_slice_header
from fgf_keras.data.refusal import DicomError

# Direction cosines: over 512 pixels the first shifts a point by a twentieth of a pixel; the second, which is
# the tolerance within a series, by half a pixel. Each slice keeps its own orientation.
ORIENTATION_TOLERANCE = 1e-4
SAME_ORIENTATION = 1e-3
# Relative to the pixel spacing.
SPACING_TOLERANCE = 1e-4
# Sideways shift of the slices of an upright stack in pixels, over the whole stack.
SIDEWAYS_TOLERANCE = 0.1
# mm; slices that are closer are on one plane.
SAME_PLANE = 0.01
# Relative to the usual gap: positions are often written with one decimal.
GAP_TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class Series:
    """A stack of parallel CT slices of one size, in ascending order along their normal.

    Arrays on its grid are (slices, rows, columns). Gaps may differ; each slice keeps its own position.

    Attributes:
        headers: one per slice, in order.
        orientation: (3, 3) orthonormal: the directions in which the column index, the row index and the slice
            index grow, in patient coordinates.
        positions: (slices,) mm along the third direction, strictly increasing.
        missing: number of slices that seem to be missing after a slice, by the index of that slice.
        warnings: number of occurrences of each warning.
    """

    headers: tuple[SliceHeader, ...]
    orientation: np.ndarray
    positions: np.ndarray
    missing: dict[int, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return len(self.headers), self.headers[0].rows, self.headers[0].columns

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID."""
        return self.headers[0].series_uid

    @property
    def patient_id(self) -> str:
        """PatientID, "" if the files have none."""
        return self.headers[0].patient_id

    @property
    def frame_of_reference_uid(self) -> str | None:
        """FrameOfReferenceUID, None if the files have none."""
        return self.headers[0].frame_of_reference_uid

    @property
    def pixel_spacing(self) -> np.ndarray:
        """(2,) mm between rows and between columns."""
        return self.headers[0].pixel_spacing

    @property
    def spacing(self) -> tuple[float, float, float]:
        """(z, y, x) mm; z is the median gap or, for a single slice, its thickness; NaN if unknown."""
        gaps = np.diff(self.positions)
        z = np.median(gaps) if len(gaps) else self.headers[0].thickness or np.nan
        return float(z), float(self.pixel_spacing[0]), float(self.pixel_spacing[1])

    @cached_property
    def sop_uids(self) -> dict[str, int]:
        """Slice index by SOPInstanceUID."""
        return {header.sop_uid: index for index, header in enumerate(self.headers)}

    @cached_property
    def half_gaps(self) -> np.ndarray:
        """(slices, 2) mm, half the gap to the slice below and above; at the ends, that of the other side.

        For a single slice, half its thickness, or 0 if that is unknown.
        """
        gaps = np.diff(self.positions)
        if not len(gaps):
            gaps = np.array([self.headers[0].thickness or 0.0])
            return np.stack([gaps, gaps], axis=1) / 2
        return np.stack([np.r_[gaps[0], gaps], np.r_[gaps, gaps[-1]]], axis=1) / 2

    def to_pixels(self, points: np.ndarray, index: int = 0) -> np.ndarray:
        """Convert (N, 3) patient mm to (N, 3): row, column, and position along the normal in mm.

        Rows and columns are those of slice `index`; pixel centres are at integers.
        """
        points = np.asarray(points, np.float64).reshape(-1, 3)
        header = self.headers[index]
        offset = (points - header.position) @ header.orientation.T
        return np.stack(
            [
                offset[:, 1] / self.pixel_spacing[0],
                offset[:, 0] / self.pixel_spacing[1],
                points @ self.orientation[2],
            ],
            axis=1,
        )

    def to_patient(self, index: int, pixels: np.ndarray) -> np.ndarray:
        """Convert (N, 2) row and column on slice `index` to (N, 3) patient mm."""
        steps = np.asarray(pixels, np.float64).reshape(-1, 2) * self.pixel_spacing
        return self.headers[index].position + steps[:, ::-1] @ self.headers[index].orientation

    def slice_at(self, position: float) -> int | None:
        """The slice within half its local gap of a position along the normal; None if there is none.

        A position halfway between two slices belongs to neither.
        """
        index = int(np.argmin(abs(self.positions - position)))
        distance = position - self.positions[index]
        half = self.half_gaps[index, int(distance > 0)]
        # Coordinates have a finite number of digits: SAME_PLANE also keeps the contours of a single slice.
        return index if abs(distance) < max(half - SAME_PLANE, SAME_PLANE) else None

    def with_warnings(self, **counts: int) -> "Series":
        """The same series with additional warnings."""
        return replace(self, warnings=self.warnings | counts)

    def read_hu(self, index: int, accept: Collection[str] = ()) -> np.ndarray:
        """(rows, columns) float32 Hounsfield units of one slice; the file is read now.

        Raises:
            DicomError: see `pixels.read_hu`.
        """
        return read_hu(self.headers[index], accept)


def read_series(files: Iterable[Path]) -> Series:
    """Read the headers of one CT series, in any order, and stack its slices.

    Raises:
        DicomError: a file that cannot be read, or as `stack_slices`.
    """
    return stack_slices([read_slice_header(Path(path)) for path in files])


def stack_slices(headers: Iterable[SliceHeader], accept: Collection[str] = ()) -> Series:
    """Order slices along their normal, regardless of their names and numbers.

    Slices that seem to be missing are listed in `Series.missing`: whether they matter depends on the region.

    Args:
        headers: of one series.
        accept: with "tilt", a sheared stack is used as it is, with a warning; each slice keeps its position.

    Raises:
        DicomError: `no_slices`, `not_ct`, `mixed_series`, `mixed_size`, `mixed_spacing`, `mixed_orientation`,
            `duplicate_slice`, `gantry_tilt` or `sideways_shift`. The message names the series and the slices.
    """
    headers = list(headers)
    if not headers:
        raise DicomError("no_slices", "A series needs at least one slice. Received: none.", "Name its files.")
    where = f"CT series {headers[0].series_uid}"
    try:
        _check_identity(headers)
        _check_grid(headers)
        usual, odd = _usual_orientation(headers)
        orientation = np.vstack([usual, np.cross(*usual)])
        positions = np.array([header.position for header in headers]) @ orientation[2]
        order = np.argsort(positions, kind="stable")
        headers, positions = [headers[i] for i in order], positions[order]
        _check_duplicates(headers, positions)
        tilted = _check_upright(headers, positions, orientation, accept)
    except DicomError as error:
        raise error.at(where) from None
    warnings = {"orientation_differs": odd, "gantry_tilt": int(tilted)}
    series = Series(tuple(headers), orientation, positions, _missing(positions))
    return series.with_warnings(**{what: count for what, count in warnings.items() if count})


def _usual_orientation(headers: list[SliceHeader]) -> tuple[np.ndarray, int]:
    """The most common orientation, and the number of slices with a different one."""
    cosines = np.array([header.orientation for header in headers])
    usual = np.reshape(Counter(map(tuple, cosines.reshape(-1, 6).tolist())).most_common(1)[0][0], (2, 3))
    return usual, int(np.count_nonzero((abs(cosines - usual) > ORIENTATION_TOLERANCE).any(axis=(1, 2))))


def _check_identity(headers: list[SliceHeader]) -> None:
    other = sorted({header.modality for header in headers} - {"CT"})
    if other:
        raise DicomError(
            "not_ct",
            f"Hounsfield units need CT slices. Received: modality {', '.join(other)}.",
            "Choose a CT series.",
        )
    for what in ("series_uid", "study_uid", "patient_id", "frame_of_reference_uid"):
        count = len({getattr(header, what) for header in headers})
        if count > 1:
            raise DicomError(
                "mixed_series",
                f"The slices must share one {what}. Received: {count} different ones.",
                "Pass the files of one series.",
            )


def _check_grid(headers: list[SliceHeader]) -> None:
    _check_alike(headers, "mixed_size", "numbers of rows and columns", lambda h: (h.rows, h.columns), 0.5)
    smallest = min(header.pixel_spacing.min() for header in headers)
    tolerance = SPACING_TOLERANCE * smallest
    _check_alike(headers, "mixed_spacing", "pixel spacings", lambda h: h.pixel_spacing, tolerance)
    _check_alike(
        headers, "mixed_orientation", "orientations", lambda h: h.orientation.ravel(), SAME_ORIENTATION
    )


def _check_alike(
    headers: list[SliceHeader], kind: str, what: str, value: Callable[[SliceHeader], object], tolerance: float
) -> None:
    values = np.array([value(header) for header in headers], np.float64)
    # Compared with the most common kind of slice, so that the message names a deviating slice.
    usual = np.array(Counter(map(tuple, values.tolist())).most_common(1)[0][0])
    odd = np.flatnonzero((abs(values - usual) > tolerance).any(axis=1))
    if len(odd):
        raise DicomError(
            kind,
            f"{len(odd)} of {len(headers)} slices have other {what} than the rest, the first of them SOP "
            f"instance {headers[odd[0]].sop_uid}.",
            "Take them out (scout views, another reconstruction), or split the series.",
        )


def _check_duplicates(headers: list[SliceHeader], positions: np.ndarray) -> None:
    close = np.flatnonzero(np.diff(positions) < SAME_PLANE)
    if len(close):
        i = close[0]
        raise DicomError(
            "duplicate_slice",
            f"{len(close)} pairs of slices lie on one plane, the first at {positions[i]:.2f} mm: SOP "
            f"instances {headers[i].sop_uid} and {headers[i + 1].sop_uid}.",
            "Keep one copy, or split the series into its acquisitions.",
        )


def _check_upright(
    headers: list[SliceHeader], positions: np.ndarray, orientation: np.ndarray, accept: Collection[str]
) -> bool:
    """Whether the stack is sheared and this is accepted; raises `DicomError` if it is not accepted."""
    corners = np.array([header.position for header in headers])
    sideways = (corners - corners[0]) @ orientation[:2].T
    worst = int(np.argmax(np.linalg.norm(sideways, axis=1)))
    shift = float(np.linalg.norm(sideways[worst]))
    if shift <= SIDEWAYS_TOLERANCE * headers[0].pixel_spacing.min():
        return False
    height = positions - positions[0]
    slope = height @ sideways / (height @ height)
    if abs(sideways - np.outer(height, slope)).max() < 0.1 * shift:
        if "tilt" in accept:
            return True
        degrees = np.degrees(np.arctan(np.linalg.norm(slope)))
        raise DicomError(
            "gantry_tilt",
            f"The stack is sheared by {degrees:.2f} degrees: its slices are not stacked along their "
            "normal, as with a tilted gantry.",
            "Resample the series to an upright stack, with its contours; or take it as it is, slice by "
            "slice, with data.accept: [tilt].",
        )
    raise DicomError(
        "sideways_shift",
        f"Slice {headers[worst].sop_uid} lies {shift:.2f} mm sideways of the first one.",
        "Split the series into its acquisitions.",
    )


def _missing(positions: np.ndarray) -> dict[int, int]:
    """The number of slices missing after a slice, by its index, where a gap is a multiple of the usual gap.

    Other gaps are allowed. The usual gap is the most frequent one, if at least half of the gaps are like it.
    """
    gaps = np.diff(positions)
    if len(gaps) < 2:
        return {}
    is_similar = abs(gaps - gaps[:, None]) <= GAP_TOLERANCE * gaps[:, None]
    counts = is_similar.sum(axis=1)
    most_common = np.flatnonzero(counts == counts.max())
    smallest = most_common[np.argmin(gaps[most_common])]
    if 2 * counts[smallest] < len(gaps):
        return {}
    usual = np.median(gaps[is_similar[smallest]])
    steps = np.round(gaps / usual)
    # Every step adds a rounding error.
    reach = GAP_TOLERANCE * np.minimum(steps, 3) * usual
    wide = np.flatnonzero((steps >= 2) & (abs(gaps - steps * usual) <= reach))
    return {int(i): int(steps[i]) - 1 for i in wide}
