"""NIfTI and NRRD volumes with masks as a source of slices. Reading them needs SimpleITK."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from fgf_keras.config.data import DataConfig
from fgf_keras.data.canvas import AIR_HU
from fgf_keras.data.file_names import is_file_name
from fgf_keras.data.prepared.pick import pick_slice
from fgf_keras.data.prepared.source import RejectedPatient, SourceSlice
from fgf_keras.data.refusal import SourceError
from fgf_keras.data.slices import listing
from fgf_keras.data.volumes.files import AGAIN, REPLACE, check_file, fingerprint
from fgf_keras.data.volumes.reading import direction_of, quiet, read_volume, values_of, within
from fgf_keras.errors import DataError

# How far the grids of image and mask may lie apart anywhere, in voxels: more than the rounding of any format,
# less than anybody can see.
GRID_TOLERANCE = 0.05
# Pixels around the tumour that resampling may mix into it.
AROUND = 3
# How far a patient came with a fault of each kind; with any other it was the file.
STAGES = {
    "not_a_volume": "series",
    "sheared": "series",
    "other_grid": "series",
    "not_a_mask": "region",
    "empty_mask": "region",
    "not_finite": "pixels",
}


@dataclass(frozen=True)
class VolumePatient:
    """The two files of one patient, and how to choose a slice.

    Attributes:
        patient_id: as in the table of labels.
        fingerprint: of the contents of both files, see `files.fingerprint`. A copy under another name
            or with another date has the same.
        image, mask: where the files are.
        slice_rule: see `pick_slice`.
        mask_value: the value that is the tumour; any above 0 where it is None.
    """

    patient_id: str
    fingerprint: str
    image: Path
    mask: Path
    slice_rule: str
    mask_value: int | None

    def read(self) -> SourceSlice | RejectedPatient:
        """Read both volumes, turn them so that slices are axial, and pick one.

        Slices, rows and columns run towards the head, the back and the left of the patient, as closely as
        flips and swaps of axes can bring them, whatever the order in the file: nothing is resampled, and
        oblique volumes stay oblique. A file whose header does not tell how it lies in the patient is taken as
        it is, and counted under the warning `orientation_unknown`.
        """
        try:
            with quiet():
                files = ("image", self.image), ("mask", self.mask)
                checked = [within(part, check_file, path) for part, path in files]
                image, mask = (
                    within(part, partial(read_volume, not_finite=check.not_finite), path)
                    for (part, path), check in zip(files, checked)
                )
            _check_grids(image, mask)
            inside = _region(values_of(mask), self.mask_value)
            index = pick_slice(inside, self.slice_rule)
            hu, broken = _hu(values_of(image)[index], inside[index])
        except SourceError as error:
            stage = STAGES.get(error.kind, "file")
            return RejectedPatient(self.patient_id, stage, error.reason, error.remedy)
        x, y, z = image.GetSpacing()
        normal = direction_of(image)[:, 2]
        warnings = {"orientation_unknown": sum(not check.oriented for check in checked), "not_finite": broken}
        return SourceSlice(
            hu=hu,
            mask=inside[index].copy(),  # a view would keep the volume in memory
            spacing=(z, y, x),
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
    """The patients of a table whose two files exist, in its order, and the others.

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


def require_reader():
    """Raise `DataError` where SimpleITK is not installed."""
    try:
        import SimpleITK  # noqa: F401
    except ImportError:
        raise DataError(
            "Source 'volumes' reads NIfTI and NRRD with SimpleITK, which is not installed. Install it: "
            "pip install fgf-keras[volumes]."
        ) from None


def _find(config, patient_id):
    # The id becomes part of a path: it must not lead elsewhere.
    if not is_file_name(patient_id):
        raise SourceError(
            "not_a_name",
            "The id names a folder or a file, and it is empty, dots only or very long, begins with '-', or "
            "holds a separator of paths or a control character.",
            "Rename the patient in the table and the files.",
        )
    patterns = {"image": config.volumes.image, "mask": config.volumes.mask}
    paths = {p: Path(config.root, pattern.replace("{id}", patient_id)) for p, pattern in patterns.items()}
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
        **paths,
    )


def _check_grids(image, mask):
    sizes = np.array(image.GetSize()), np.array(mask.GetSize())
    if (sizes[0] != sizes[1]).any():
        raise SourceError(
            "other_grid",
            f"The image has {_by(sizes[0])} voxels and the mask {_by(sizes[1])}: their size differs.",
            "Resample the mask to the image.",
        )
    axes, spacing = direction_of(image).T, np.array(image.GetSpacing())
    last = sizes[0] - 1
    # The largest shift that each difference causes anywhere in the volume, in voxels along each axis.
    shift = {
        "spacing": abs(spacing - mask.GetSpacing()) / spacing * last,
        "origin": abs(axes @ np.subtract(image.GetOrigin(), mask.GetOrigin())) / spacing,
        "direction": abs(axes @ (axes.T - direction_of(mask))) @ (last * spacing) / spacing,
    }
    differing = {name: by.max() for name, by in shift.items() if not by.max() <= GRID_TOLERANCE}
    if differing:
        raise SourceError(
            "other_grid",
            "Image and mask lie on different grids: "
            + ", ".join(f"their {name} puts voxels up to {by:.3g} apart" for name, by in differing.items())
            + f" (allowed: {GRID_TOLERANCE}).",
            "Resample the mask to the image.",
        )


def _by(size):
    return "x".join(str(count) for count in size)


def _region(values, mask_value):
    """(slices, rows, columns) bool."""
    if broken := np.count_nonzero(~np.isfinite(values)):
        raise SourceError("not_finite", f"The mask: {broken} voxels are not finite numbers.", REPLACE)
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
        there = listing(f"{value:.0f}" for value in np.unique(values))
        wanted_values = "a value above 0" if mask_value is None else f"data.volumes.mask_value={mask_value}"
        raise SourceError(
            "empty_mask",
            f"No voxel of the mask has {wanted_values}. Its values: {there}.",
            "Choose one of these.",
        )
    return inside


def _hu(values, inside):
    """(rows, columns) float32, a copy, and how many pixels became air: those that are no finite numbers."""
    with np.errstate(over="ignore"):
        hu = values.astype(np.float32)
    broken = ~np.isfinite(hu)
    if (broken & ndimage.binary_dilation(inside, iterations=AROUND)).any():
        count = np.count_nonzero(broken)
        raise SourceError(
            "not_finite",
            f"The image: {count} pixels of the slice are not finite in 32 bits, in the tumour or beside it.",
            REPLACE,
        )
    hu[broken] = AIR_HU
    return hu, int(np.count_nonzero(broken))
