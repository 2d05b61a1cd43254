"""How the path of a sample to the decision boundary ended."""

import enum


class FlowStatus(enum.IntEnum):
    """How the path of a sample ended; `sentence` says it to a reader."""

    REACHED = 0
    NOT_REACHED = 1
    STATIONARY = 2
    ON_BOUNDARY = 3
    NOT_CONVERGED = 4
    OVERFLOW = 5

    @property
    def sentence(self) -> str:
        """What the status means and what to do about it."""
        return _SENTENCES[self]


# The path ended on the boundary and its means are as accurate as asked for: F is a number. NaN otherwise.
ENDED = (FlowStatus.REACHED, FlowStatus.ON_BOUNDARY)

_SENTENCES = {
    FlowStatus.REACHED: "The path ended on the decision boundary.",
    FlowStatus.NOT_REACHED: "The path was followed as far as the most steps allow and did not come to the "
    "decision boundary; raise max_steps, or see whether the classifier ever decides otherwise.",
    FlowStatus.STATIONARY: "The gradient of the score vanishes at the sample or on its path, so there is no "
    "direction to follow; S or F is undefined here.",
    FlowStatus.ON_BOUNDARY: "The sample lies on the decision boundary already; F is S at the sample.",
    FlowStatus.NOT_CONVERGED: "The path ended on the decision boundary, but with the most steps allowed the "
    "estimated error of F (flow_error) is above the tolerance; raise max_steps or the tolerance.",
    FlowStatus.OVERFLOW: "The score or its gradient is not a finite number at the sample or on its path; see "
    "whether the classifier has diverged, or scale its images.",
}
