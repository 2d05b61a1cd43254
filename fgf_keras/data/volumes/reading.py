"""One NIfTI or NRRD volume through SimpleITK, turned so that its slices are axial."""

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fgf_keras.data.refusal import SourceError
from fgf_keras.data.volumes.files import AGAIN, READERS, suffix_of

# By how much the axes of a volume may fail to be at right angles, as a cosine.
SHEAR_TOLERANCE = 1e-3


@contextmanager
def quiet():
    """SimpleITK's remarks about headers go to stderr, file names and all."""
    import SimpleITK as sitk

    displayed = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(displayed)


def within(part, step, path):
    """Do a step for one of the two files; what is wrong with it names which one."""
    try:
        return step(path)
    except SourceError as error:
        reason = f"The {part}: {error.reason}"
        raise SourceError(error.kind, reason, error.remedy) from None
    except (OSError, RuntimeError) as error:  # RuntimeError is all that SimpleITK raises
        # Its text names the file.
        why = error.strerror if isinstance(error, OSError) else "SimpleITK refuses it"
        reason = f"The {part}: The file cannot be read ({why}): it is damaged, sheared or of another kind."
        raise SourceError("unreadable", reason, AGAIN) from None


def read_volume(path, not_finite):
    """The volume, its axes along left, posterior and superior as closely as they can be.

    Voxels at the places `not_finite`, in the order of the file, are NaN.
    """
    import SimpleITK as sitk

    suffix = suffix_of(path)
    # Beside `a.nii.gz` SimpleITK would find `a.nii` and take the voxels from there.
    with TemporaryDirectory() as alone:
        alias = Path(alone, f"volume{suffix}")
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
            marked = sitk.GetImageFromArray(values)
            marked.CopyInformation(volume)
            volume = marked
        volume = sitk.DICOMOrient(volume, "LPS")
    axes = direction_of(volume)
    geometry = [*axes.ravel(), *volume.GetOrigin(), *volume.GetSpacing()]
    if not np.isfinite(geometry).all() or abs(axes.T @ axes - np.eye(3)).max() > SHEAR_TOLERANCE:
        raise SourceError("sheared", "Its axes are not at right angles.", "Resample it to a grid that is.")
    return volume


def _check_kind(reader):
    import SimpleITK as sitk

    if (dimensions := reader.GetDimension()) != 3:
        raise SourceError(
            "not_a_volume", f"It has {dimensions} dimensions instead of 3.", "Write one volume into one file."
        )
    if reader.GetNumberOfComponents() != 1:
        kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())
        raise SourceError("not_a_volume", f"Its voxels are no single numbers but {kind}.", "Convert it.")


def direction_of(image):
    """(3, 3): column k is the direction of axis k."""
    return np.reshape(image.GetDirection(), (3, 3))


def values_of(image):
    """Voxels (slices, rows, columns) as a view of the image, which must outlive it."""
    import SimpleITK as sitk

    # A view: the image outlives it in `read`.
    return sitk.GetArrayViewFromImage(image)
