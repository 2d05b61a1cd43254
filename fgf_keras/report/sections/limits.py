"""The limits of the measurements."""

from fgf_keras.report.document import Bullets, Section

_SLICES = "One slice per patient is seen: the tumour in its largest or chosen cross-section, not the volume."
_VOLUMES = "Only the box around the tumour is seen, at the spacing of the settings."
LIMITS = [
    "Alignment says what the network reacts to. It does not say that the named features cause the outcome, "
    "nor that the rest of the gradient is wrong.",
    _SLICES,
    "S and F belong to this trained network. Another seed, split or cohort gives another; a protocol of "
    "repeated splits says how much (protocol.repeats).",
    "The image at the boundary is what the network would call undecided, not what a tumour could look like.",
    "The decision threshold is chosen on validation patients; with few positive ones there it is itself "
    "uncertain.",
    "The method has no clinical validation. Do not use it for a decision about a patient.",
]


def limits_section(dimension: int = 2) -> Section:
    """What must not be concluded from a report on slices (2) or volumes (3)."""
    limits = [_VOLUMES if dimension == 3 and limit == _SLICES else limit for limit in LIMITS]
    return Section("limits", "Limits", [Bullets(limits)])
