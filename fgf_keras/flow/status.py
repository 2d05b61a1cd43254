"""The statuses of the path from a sample to the decision boundary."""

import enum
from typing import Self

import numpy as np


class Status(enum.IntEnum):
    """Base class of statuses: integer codes that tensors can hold, each with a sentence.

    Members are written as `NAME = code, sentence`.

    Attributes:
        sentence: what the status means and what to do about it.
    """

    sentence: str

    def __new__(cls, code: int, sentence: str) -> Self:
        """The member of a code and its sentence."""
        status = int.__new__(cls, code)
        status._value_ = code
        status.sentence = sentence
        return status

    @classmethod
    def of(cls, code: int) -> Self:
        """The status with a given code."""
        return {int(status): status for status in cls}[int(code)]


class FlowStatus(Status):
    """How the path of a sample ended."""

    REACHED = 0, "The path ended on the decision boundary."
    NOT_REACHED = (
        1,
        "The path was followed as far as the most steps allow and did not come to the decision boundary; "
        "raise max_steps, or see whether the classifier ever decides otherwise.",
    )
    STATIONARY = (
        2,
        "The gradient of the score vanishes at the sample or on its path, so there is no direction to "
        "follow; S or F is undefined here.",
    )
    ON_BOUNDARY = 3, "The sample lies on the decision boundary already; F is S at the sample."
    NOT_CONVERGED = (
        4,
        "The path ended on the decision boundary, but with the most steps allowed the estimated error of F "
        "(flow_error) is above the tolerance; raise max_steps or the tolerance.",
    )
    OVERFLOW = (
        5,
        "The score or its gradient is not a finite number at the sample or on its path; see whether the "
        "classifier has diverged, or scale its images.",
    )
    BLOCKED = (
        6,
        "The path is bounded and stopped before the decision boundary: the score can be brought no closer to "
        "it without leaving the range of the images; with range='free' the path goes on outside of it.",
    )

    FEATURE_UNDEFINED = (
        7,
        "The path ended on the decision boundary, but a feature or its gradient is not a finite number at "
        "the sample: its own shares are undefined, and the joint shares are those of the other features.",
    )


# Statuses for which F is a number: the path ended on the boundary and its means are within the tolerance.
ENDED = (FlowStatus.REACHED, FlowStatus.ON_BOUNDARY, FlowStatus.FEATURE_UNDEFINED)


def has_flow(status: np.ndarray, flow_alignment: np.ndarray) -> np.ndarray:
    """(N,) bool, whether samples have an F: the path ended on the boundary, and F is a number.

    Args:
        status: (N,) of `FlowStatus`.
        flow_alignment: (N,) joint F.
    """
    return np.isin(status, ENDED) & ~np.isnan(flow_alignment)
