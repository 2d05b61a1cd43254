"""NIfTI and NRRD volumes with masks as a source of slices; reading them requires SimpleITK."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from fgf_keras.config.data import DataConfig
from fgf_keras.data.box import Box, BoxRule, middle_slice
from fgf_keras.data.canvas import AIR_HU
from fgf_keras.data.file_names import is_file_name
from fgf_keras.data.prepared.pick import pick_slice
from fgf_keras.data.prepared.source import RejectedPatient, SourceSlice
from fgf_keras.data.refusal import SourceError
from fgf_keras.data.slices import listing
from fgf_keras.data.volumes.files import AGAIN, REPLACE, check_file, fingerprint
from fgf_keras.data.volumes.reading import direction_of, quiet, read_volume, values_of, within
from fgf_keras.errors import DataError

if TYPE_CHECKING:
    import SimpleITK as sitk

# How far the grids of image and mask may be apart anywhere, in voxels: more than the rounding error of any
# format, less than is visible.
GRID_TOLERANCE = 0.05
# Pixels around the tumour that resampling may blend into it.
AROUND = 3
# The stage of each kind of error; for all other kinds it is the file.
STAGES = {
    "not_a_volume": "series",
    "sheared": "series",
    "other_grid": "series",
    "not_a_mask": "region",
    "empty_mask": "region",
    "not_finite": "pixels",
    "too_large": "canvas",
    "vanished": "canvas",
}


@dataclass(frozen=True)
class VolumePatient:
    """The two files of one patient, and the rule for choosing a slice.

    Attributes:
        patient_id: as in the table of labels.
        fingerprint: of the contents of both files, see `files.fingerprint`. It does not depend on names or
            dates.
        image, mask: paths of the files.
        slice_rule: see `pick_slice`.
        mask_value: the value of the tumour in the mask; if None, any value above 0.
        box: if given, a box around the tumour is cropped instead of a slice.
    """

    patient_id: str
    fingerprint: str
    image: Path
    mask: Path
    slice_rule: str
    mask_value: int | None
    box: BoxRule | None = None

    def read(self) -> SourceSlice | RejectedPatient:
        """Read both volumes, reorient them so that slices are axial, and pick one slice or crop to the box.

        Slices, rows and columns run towards the head, the back and the left of the patient, as closely as
        flips and swaps of axes allow, whatever the order in the file. Axes are not turned, so oblique volumes
        stay oblique. A file without an orientation in its header is used as it is, and counted by the
        warning `orientation_unknown`.
        """
        try:
            with quiet():
                files = ("image", self.image), ("mask", self.mask)
                checks = [within(part, check_file, path) for part, path in files]
                image, mask = (
                    within(part, partial(read_volume, not_finite=check.not_finite), path)
                    for (part, path), check in zip(files, checks)
                )
            _check_grids(image, mask)
            inside = _region(values_of(mask), self.mask_value)
            x, y, z = image.GetSpacing()
            if self.box is None:
                index = pick_slice(inside, self.slice_rule)
                hu, not_finite = _hu(values_of(image)[index], inside[index])
                region, spacing = inside[index].copy(), (z, y, x)  # a view would keep the volume in memory
            else:
                box = Box.around(inside, (z, y, x), **self.box._asdict())
                index = middle_slice(inside)
                block, not_finite = _hu(values_of(image)[box.source], inside[box.source], "voxels of the box")
                hu, region, spacing = box.hu(block), box.mask(inside[box.source]) > 0, self.box.spacing_mm
        except SourceError as error:
            stage = STAGES.get(error.kind, "file")
            return RejectedPatient(self.patient_id, stage, error.reason, error.remedy)
        normal = direction_of(image)[:, 2]
        warnings = {
            "orientation_unknown": sum(not check.oriented for check in checks),
            "not_finite": not_finite,
        }
        return SourceSlice(
            hu=hu,
            mask=region,
            spacing=spacing,
            index=index,
            z_mm=float(normal @ image.GetOrigin() + index * z),
            source_uid="",
            roi_object="volume",
            roi_names=(),
            roi_numbers=() if self.mask_value is None else (self.mask_value,),
            warnings={what: count for what, count in warnings.items() if count},
        )


def volume_patients(
    config: DataConfig, ids: Iterable[str]
) -> tuple[list[VolumePatient], list[RejectedPatient]]:
    """The patients of a table whose two files exist, in the order of the table, and the rejected ones.

    Raises:
        DataError: SimpleITK is not installed.
    """
    require_reader()
    patients, rejected = [], []
    for patient_id in ids:
        try:
            patients.append(_find(config, patient_id))
        except SourceError as error:
            rejected.append(RejectedPatient(patient_id, "file", error.reason, error.remedy))
    return patients, rejected


def require_reader() -> None:
    """Raise `DataError` if SimpleITK is not installed."""
    try:
        import SimpleITK  # noqa: F401
    except ImportError:
        raise DataError(
            "Source 'volumes' reads NIfTI and NRRD with SimpleITK, which is not installed. Install it: "
            "pip install fgf-keras[volumes]."
        ) from None


def _find(config: DataConfig, patient_id: str) -> VolumePatient:
    # The id becomes part of a path and must not lead to another folder.
    if not is_file_name(patient_id):
        raise SourceError(
            "not_a_name",
            "The id names a folder or a file, and it is empty, dots only or very long, begins with '-', or "
            "holds a separator of paths or a control character.",
            "Rename the patient in the table and the files.",
        )
    patterns = {"image": config.volumes.image, "mask": config.volumes.mask}
    root = config.root_folder
    paths = {part: root / pattern.replace("{id}", patient_id) for part, pattern in patterns.items()}
    missing = [part for part, path in paths.items() if not os.path.isfile(path)]
    if missing:
        where = " and ".join(f"no {part} at data.volumes.{part}={patterns[part]!r}" for part in missing)
        raise SourceError(
            "missing", f"There is {where}.", "Add the files, or remove the patient's row; mind the spelling."
        )
    try:
        contents = fingerprint(paths.values())
    except OSError as error:
        raise SourceError("unreadable", f"A file cannot be opened ({error.strerror}).", AGAIN) from None
    return VolumePatient(
        patient_id=patient_id,
        fingerprint=contents,
        slice_rule=config.slice,
        mask_value=config.volumes.mask_value,
        box=BoxRule.of(config),
        **paths,
    )


def _check_grids(image: "sitk.Image", mask: "sitk.Image") -> None:
    sizes = np.array(image.GetSize()), np.array(mask.GetSize())
    if (sizes[0] != sizes[1]).any():
        raise SourceError(
            "other_grid",
            f"The image has {_by(sizes[0])} voxels and the mask {_by(sizes[1])}: their size differs.",
            "Resample the mask to the image.",
        )
    axes, spacing = direction_of(image).T, np.array(image.GetSpacing())
    last = sizes[0] - 1
    # The largest shift anywhere in the volume due to each difference, in voxels along each axis.
    shifts = {
        "spacing": abs(spacing - mask.GetSpacing()) / spacing * last,
        "origin": abs(axes @ np.subtract(image.GetOrigin(), mask.GetOrigin())) / spacing,
        "direction": abs(axes @ (axes.T - direction_of(mask))) @ (last * spacing) / spacing,
    }
    differences = {name: shift.max() for name, shift in shifts.items() if not shift.max() <= GRID_TOLERANCE}
    if differences:
        raise SourceError(
            "other_grid",
            "Image and mask lie on different grids: "
            + ", ".join(f"their {name} puts voxels up to {by:.3g} apart" for name, by in differences.items())
            + f" (allowed: {GRID_TOLERANCE}).",
            "Resample the mask to the image.",
        )


def _by(size: Iterable[int]) -> str:
    return "x".join(str(count) for count in size)


def _region(values: np.ndarray, mask_value: int | None) -> np.ndarray:
    """The mask (slices, rows, columns) as bool; raises `SourceError` if it is not a valid mask."""
    if count := np.count_nonzero(~np.isfinite(values)):
        raise SourceError("not_finite", f"The mask: {count} voxels are not finite numbers.", REPLACE)
    if values.dtype.kind == "f" and (values != np.rint(values)).any():
        raise SourceError(
            "not_a_mask", "The mask has values that are no whole numbers.", "Threshold it to 0 and 1."
        )
    if values.min() < 0:
        raise SourceError(
            "not_a_mask", f"The mask has negative values, down to {values.min():.0f}.", "Check the files."
        )
    inside = values > 0 if mask_value is None else values == mask_value
    if not inside.any():
        present = listing(f"{value:.0f}" for value in np.unique(values))
        expected = "a value above 0" if mask_value is None else f"data.volumes.mask_value={mask_value}"
        raise SourceError(
            "empty_mask",
            f"No voxel of the mask has {expected}. Its values: {present}.",
            "Choose one of these.",
        )
    return inside


def _hu(values: np.ndarray, inside: np.ndarray, what: str = "pixels of the slice") -> tuple[np.ndarray, int]:
    """A copy as float32 with air in place of pixels that are not finite, and their number."""
    with np.errstate(over="ignore"):
        hu = values.astype(np.float32)
    not_finite = ~np.isfinite(hu)
    if (not_finite & ndimage.binary_dilation(inside, iterations=AROUND)).any():
        count = np.count_nonzero(not_finite)
        raise SourceError(
            "not_finite",
            f"The image: {count} {what} are not finite in 32 bits, in the tumour or beside it.",
            REPLACE,
        )
    hu[not_finite] = AIR_HU
    return hu, int(np.count_nonzero(not_finite))
