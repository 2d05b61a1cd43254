"""Measurements of the tumour on a slice or in a volume: size, brightness and axes."""

from collections.abc import Sequence

import numpy as np


def measurements(
    hu: np.ndarray, mask: np.ndarray, spacing: Sequence[float] | np.ndarray
) -> dict[str, float | None]:
    """Measure the pixels inside a mask; C is the population covariance of their centres in mm.

    Args:
        hu: (rows, columns).
        mask: (rows, columns), not empty.
        spacing: (y, x) mm.

    Returns:
        `pixels`; `area_mm2`; `mean_hu`; `major_axis_mm` and `minor_axis_mm`, 4·sqrt of an eigenvalue of C;
        `log_aspect_ratio`, ½(log λ₁ - log λ₂), None if the minor axis is 0.
    """
    inside = np.asarray(mask, bool)
    # Centred first: squares of positions far from the origin would lose digits.
    centres = np.argwhere(inside).astype(np.float64) * np.asarray(spacing, np.float64)
    centres -= centres.mean(axis=0)
    minor, major = np.linalg.eigvalsh(centres.T @ centres / len(centres))
    # For pixels on one line the minor axis is 0 up to rounding.
    minor = 0.0 if minor <= 1e-12 * major else minor
    return {
        "pixels": len(centres),
        "area_mm2": float(len(centres) * np.prod(spacing, dtype=np.float64)),
        "mean_hu": float(hu[inside].mean(dtype=np.float64)),
        "major_axis_mm": float(4 * np.sqrt(major)),
        "minor_axis_mm": float(4 * np.sqrt(minor)),
        "log_aspect_ratio": float((np.log(major) - np.log(minor)) / 2) if minor > 0 else None,
    }


def volume_measurements(
    hu: np.ndarray, mask: np.ndarray, spacing: Sequence[float] | np.ndarray
) -> dict[str, float | None]:
    """Measure the voxels inside a mask; C is the population covariance of their centres in mm.

    Args:
        hu: (slices, rows, columns).
        mask: (slices, rows, columns), not empty.
        spacing: (z, y, x) mm.

    Returns:
        `pixels`, the number of voxels; `volume_mm3`; `mean_hu`; `major_axis_mm`, `middle_axis_mm` and
        `minor_axis_mm`, 4·sqrt of an eigenvalue of C.
    """
    inside = np.asarray(mask, bool)
    centres = np.argwhere(inside).astype(np.float64) * np.asarray(spacing, np.float64)
    centres -= centres.mean(axis=0)
    variances = np.linalg.eigvalsh(centres.T @ centres / len(centres)).clip(0)
    axes = dict(zip(("minor_axis_mm", "middle_axis_mm", "major_axis_mm"), 4 * np.sqrt(variances)))
    return {
        "pixels": len(centres),
        "volume_mm3": float(len(centres) * np.prod(spacing, dtype=np.float64)),
        "mean_hu": float(hu[inside].mean(dtype=np.float64)),
        **{name: float(axes[name]) for name in reversed(axes)},
    }
