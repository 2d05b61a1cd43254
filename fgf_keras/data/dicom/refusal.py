"""The one error of the DICOM readers."""

from fgf_keras.data.refusal import SourceError

# What to do where a region and a series lie in different frames of reference.
OTHER_FRAME = (
    "Take the CT series that it was drawn on. Only where identifiers are known to have been changed, by an "
    "anonymiser for one, set data.roi.ignore_frame_of_reference: true."
)


class DicomError(SourceError):
    """A file, series or region that cannot be used without guessing."""
