"""Errors about the files of one patient, with a reason and a remedy."""

from typing import Any

from fgf_keras.errors import DataError

# Remedy if a region and a series are in different frames of reference.
OTHER_FRAME = (
    "Take the CT series that it was drawn on. Only where identifiers are known to have been changed, by an "
    "anonymiser for one, set data.roi.ignore_frame_of_reference: true."
)


class SourceError(DataError):
    """A file, series, region or slice that cannot be used without guessing.

    Attributes:
        kind: a short name for tables and tests, e.g. `missing_slice`.
        reason: what is wrong. Free of file names, so that it can be written to a table that leaves the
            hospital.
        remedy: how to fix it.
        where: the place, for the message only; "" if it is not known.
    """

    def __init__(self, kind: str, reason: str, remedy: str, *, where: str = "") -> None:
        self.kind = kind
        self.reason = reason
        self.remedy = remedy
        self.where = where
        super().__init__(f"{where}: {reason} {remedy}" if where else f"{reason} {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors are sent between processes; by default, unpickling calls __init__ with the message only.
        return _rebuild, (type(self), self.kind, self.reason, self.remedy, self.where)

    def at(self, where: str) -> "SourceError":
        """The same error with a place in front of its message, unless it already has one."""
        return self if self.where else type(self)(self.kind, self.reason, self.remedy, where=where)


def _rebuild(error: type[SourceError], kind: str, reason: str, remedy: str, where: str) -> SourceError:
    return error(kind, reason, remedy, where=where)


class DicomError(SourceError):
    """A file, series or region that cannot be used without guessing."""
