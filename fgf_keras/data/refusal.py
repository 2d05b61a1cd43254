"""Why something of one patient cannot be used."""

from fgf_keras.errors import DataError

# What to do where a region and a series lie in different frames of reference.
OTHER_FRAME = (
    "Take the CT series that it was drawn on. Only where identifiers are known to have been changed, by an "
    "anonymiser for one, set data.roi.ignore_frame_of_reference: true."
)


class SourceError(DataError):
    """A file, series, region or slice that cannot be used without guessing.

    Attributes:
        kind: a short name for tables and tests, e.g. `missing_slice`.
        reason: what was found. Free of file names, so that it can go into a table that leaves the hospital.
        remedy: what to do about it.
    """

    def __init__(self, kind: str, reason: str, remedy: str, *, where: str = ""):
        self.kind = kind
        self.reason = reason
        self.remedy = remedy
        self.where = where
        super().__init__(f"{where}: {reason} {remedy}" if where else f"{reason} {remedy}")

    def __reduce__(self):
        # Errors cross process borders; the default would call __init__ with the message alone.
        return _rebuild, (type(self), self.kind, self.reason, self.remedy, self.where)

    def at(self, where: str) -> "SourceError":
        """The same error with a place in front of its message, unless it has one."""
        return self if self.where else type(self)(self.kind, self.reason, self.remedy, where=where)


def _rebuild(error, kind, reason, remedy, where):
    return error(kind, reason, remedy, where=where)


class DicomError(SourceError):
    """A file, series or region that cannot be used without guessing."""
