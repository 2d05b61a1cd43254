"""The one error of the DICOM readers."""

from fgf_keras.data.refusal import SourceError


class DicomError(SourceError):
    """A file, series or region that cannot be used without guessing."""
