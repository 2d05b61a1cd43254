"""What a report on volumes leaves out."""

from fgf_keras.report.document import Section, Text

LEFT_OUT = (
    "Two measurements are made for slices only and are left out here: the tumours were not moved along each "
    "feature to see how the score changes (evaluate.behaviour), and no feature was collapsed to its training "
    "mean to see what the AUC loses (evaluate.collapse). Everything else is computed on whole volumes."
)


def volumes_section() -> Section:
    """The measurements that volumes do not have."""
    return Section("volumes", "What is not measured on volumes", [Text(LEFT_OUT)])
