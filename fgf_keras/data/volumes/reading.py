"""Reading of a NIfTI or NRRD volume with SimpleITK, reoriented so that its slices are axial."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fgf_keras.data.refusal import SourceError
from fgf_keras.data.volumes.files import AGAIN, READERS, suffix_of

if TYPE_CHECKING:
    import SimpleITK as sitk

T = TypeVar("T")

# How far the axes of a volume may deviate from right angles, as a cosine.
SHEAR_TOLERANCE = 1e-3


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings of SimpleITK about headers, which go to stderr with file names."""
    import SimpleITK as sitk

    display = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(display)


def within(part: str, step: Callable[[Path], T], path: Path) -> T:
    """Apply a step to one of the two files; errors say which file it is."""
    try:
        return step(path)
    except SourceError as error:
        reason = f"The {part}: {error.reason}"
        raise SourceError(error.kind, reason, error.remedy) from None
    except (OSError, RuntimeError) as error:  # SimpleITK only raises RuntimeError
        # The message of the error contains the file name and is not used.
        why = error.strerror if isinstance(error, OSError) else "SimpleITK refuses it"
        reason = f"The {part}: The file cannot be read ({why}): it is damaged, sheared or of another kind."
        raise SourceError("unreadable", reason, AGAIN) from None


def read_volume(path: Path, not_finite: np.ndarray) -> "sitk.Image":
    """Read a volume, with its axes as close as possible to left, posterior and superior.

    Voxels at the indices `not_finite`, in the order of the file, become NaN.
    """
    import SimpleITK as sitk

    suffix = suffix_of(path)
    # In its own folder: next to `a.nii.gz`, SimpleITK would read the voxels from `a.nii`.
    with TemporaryDirectory() as folder:
        alias = Path(folder, f"volume{suffix}")
        alias.symlink_to(path.resolve())
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(alias))
        reader.SetImageIO(READERS[suffix])
        reader.ReadImageInformation()
        _check_kind(reader)
        volume = reader.Execute()
        if len(not_finite):
            values = sitk.GetArrayFromImage(volume)
            values.reshape(-1)[not_finite] = np.nan
            copy = sitk.GetImageFromArray(values)
            copy.CopyInformation(volume)
            volume = copy
        volume = sitk.DICOMOrient(volume, "LPS")
    axes = direction_of(volume)
    geometry = [*axes.ravel(), *volume.GetOrigin(), *volume.GetSpacing()]
    if not np.isfinite(geometry).all() or abs(axes.T @ axes - np.eye(3)).max() > SHEAR_TOLERANCE:
        raise SourceError("sheared", "Its axes are not at right angles.", "Resample it to a grid that is.")
    return volume


def _check_kind(reader: "sitk.ImageFileReader") -> None:
    import SimpleITK as sitk

    if (dimensions := reader.GetDimension()) != 3:
        raise SourceError(
            "not_a_volume", f"It has {dimensions} dimensions instead of 3.", "Write one volume into one file."
        )
    if reader.GetNumberOfComponents() != 1:
        kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())
        raise SourceError("not_a_volume", f"Its voxels are not single numbers but {kind}.", "Convert it.")


def direction_of(image: "sitk.Image") -> np.ndarray:
    """(3, 3), the direction of axis k in column k."""
    return np.reshape(image.GetDirection(), (3, 3))


def values_of(image: "sitk.Image") -> np.ndarray:
    """Voxels (slices, rows, columns) as a view of the image, which must outlive it."""
    import SimpleITK as sitk

    return sitk.GetArrayViewFromImage(image)
