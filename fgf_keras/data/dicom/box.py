"""What is read of a region: a box around the tumour cropped from its CT series, or one slice."""

from collections import Counter
from collections.abc import Collection

import numpy as np

from fgf_keras.data.box import Box, BoxRule, middle_slice
from fgf_keras.data.dicom.match import Region
from fgf_keras.data.prepared.source import SourceSlice
from fgf_keras.data.refusal import DicomError

# How far a slice may be from where even gaps would put it, as a fraction of the gap.
UNEVEN = 0.1


def read_box(region: Region, rule: BoxRule, accept: Collection[str]) -> SourceSlice:
    """Crop a series around a region; only the slices that the box needs are read.

    Rows, columns and slices run as in the series. The slices of the box must be evenly spaced along their
    normal.

    Args:
        region: the tumour on its series.
        rule: shape and spacing of the box.
        accept: see `pixels.read_hu`.

    Raises:
        SourceError: `too_large` or `vanished`, see `Box`.
        DicomError: `gantry_tilt`, `uneven_gaps`, `no_spacing`, or pixels that cannot be read.
    """
    series, mask = region.series, region.mask.volume()
    if series.warnings.get("gantry_tilt"):
        raise DicomError(
            "gantry_tilt",
            "The slices are not stacked along their normal.",
            "Resample the scan to a grid that is.",
        )
    if not np.isfinite(series.spacing[0]):
        raise DicomError(
            "no_spacing", "There is a single slice of unknown thickness.", "Use data.dimension=2."
        )
    box = Box.around(mask, series.spacing, shape=rule.shape, spacing_mm=rule.spacing_mm)
    needed = range(*box.source[0].indices(len(series.headers)))
    _check_even(series.positions[needed.start : needed.stop], series.spacing[0])
    plane = box.source[1:]
    block = np.stack([series.read_hu(index, accept)[plane] for index in needed])
    index = middle_slice(mask)
    warnings = Counter(region.warnings)
    for i in needed:
        warnings.update(series.headers[i].warnings)
    inside = box.mask(mask[box.source]) > 0
    return source_slice(region, index, box.hu(block), inside, rule.spacing_mm, dict(warnings))


def source_slice(
    region: Region,
    index: int,
    hu: np.ndarray,
    mask: np.ndarray,
    spacing: tuple[float, float, float],
    warnings: dict[str, int],
) -> SourceSlice:
    """A slice or a box of a region, see `SourceSlice`."""
    return SourceSlice(
        hu=hu,
        mask=mask,
        spacing=spacing,
        index=index,
        z_mm=float(region.series.positions[index]),
        source_uid=region.series.series_uid,
        roi_object=region.object,
        roi_names=region.names,
        roi_numbers=region.numbers,
        warnings=warnings,
    )


def _check_even(positions: np.ndarray, gap: float) -> None:
    """Refuse slices at (n,) mm that are not evenly spaced by a gap."""
    even = gap * np.arange(len(positions))
    even += (positions - even).mean()
    if abs(positions - even).max() > UNEVEN * gap:
        gaps = np.diff(positions)
        raise DicomError(
            "uneven_gaps",
            f"The slices around the tumour are {gaps.min():g} to {gaps.max():g} mm apart.",
            "Resample the scan to even gaps, or use data.dimension=2.",
        )
