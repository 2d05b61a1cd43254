"""How a training step takes the section of a classifier, and the reward's weight gradient."""

import contextlib
import json
import logging
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from fgf_keras.errors import ModelError
from fgf_keras.models.derivative_trial import DerivativeTrial, Verdict
from fgf_keras.models.input_gradient import Classifier
from fgf_keras.models.scoped_replacements import exact_moments, moving_statistics

REWARD_GRADIENTS = ("auto", "exact", "difference")
# Passes of the classifier that a section can be taken in, in the order in which they are tried.
SECTIONS = ("shared", "moving", "inference")
_REASONS = {
    Verdict.RIGHT: "second derivatives agree with differences of gradients",
    Verdict.WRONG: "second derivatives are missing or incomplete",
    Verdict.UNKNOWN: "no difference of gradients was accurate enough to check second derivatives",
}
# Plans by what they depend on: the same network is tried once in a process.
_plans: dict[Any, "GradientPlan"] = {}

_log = logging.getLogger(__name__)


class GradientPlan(NamedTuple):
    """How a training step takes the section, and the reward's weight gradient.

    Attributes:
        method: "exact", by second derivatives, or "difference", see `difference_of_gradients`.
        section: the pass of the classifier that the section is taken in, the first of `SECTIONS` in which no
            sample changes the gradient of another and the gradient is right. "shared": the task's own; others
            are passes of their own, "moving" in training mode, but with the moving statistics of batch
            normalisation, "inference" in inference mode.
        reason: why, in words.
    """

    method: str
    section: str
    reason: str

    def passed(self, classifier: Classifier) -> Classifier:
        """The classifier in the pass of the section: a callable of (image, training) to outputs."""
        return _InPass(classifier, self.section)


class _InPass(NamedTuple):
    """A classifier whose mode is that of a section's pass, in the form of a classifier."""

    classifier: Any
    section: str

    def __call__(self, image, training=None):
        del training
        moving = moving_statistics() if self.section == "moving" else contextlib.nullcontext()
        with exact_moments, moving:
            return self.classifier(image, training=self.section != "inference")

    @property
    def compute_dtype(self):
        return self.classifier.compute_dtype


def gradient_plan(
    classifier: Classifier, image_shape: Sequence[int], reward_gradient: str | None = "auto"
) -> GradientPlan:
    """The plan for a classifier, found by trying it on a random image; logged when it is made.

    Args:
        classifier: Keras model from (B, H, W, C) to logits.
        image_shape: (H, W, C).
        reward_gradient: "exact" or "difference" as asked for; "auto" is exact wherever second derivatives are
            right, as they are on networks with kinks (ReLU, max pooling), whose switches they do not see;
            None where nothing is rewarded.

    Raises:
        ModelError: samples of a batch change each other's scores in inference mode too; or the plan would be
            a difference of gradients in half precision.
    """
    key = _key(classifier, image_shape, reward_gradient)
    if key is None or key not in _plans:
        plan = _made_plan(classifier, image_shape, reward_gradient)
        _log.info("Reward gradient: %s (%s); section: %s pass.", plan.method, plan.reason, plan.section)
        if key is None:
            return plan
        _plans[key] = plan
    return _plans[key]


def _made_plan(classifier, image_shape, reward_gradient):
    trial = DerivativeTrial(classifier, image_shape)
    section = _section_pass(trial)
    if reward_gradient is None:
        return GradientPlan("exact", section, "nothing is rewarded")
    method, reason = reward_gradient, "as asked for"
    if reward_gradient == "auto":
        verdict = trial.second_derivative(_call(section))
        method = "difference" if verdict is Verdict.WRONG else "exact"
        reason = _REASONS[verdict]
    if method == "exact":
        return GradientPlan(method, section, reason)
    if classifier.compute_dtype not in ("float32", "float64"):
        raise ModelError(
            f"The reward's gradient would be a difference of gradients ({reason}), of which rounding to "
            f"{classifier.compute_dtype} leaves nothing. Train in float32 (compute.precision: float32), or "
            "without the layers whose gradient has no derivative, e.g. bilinear resizing."
        )
    # The difference calls the classifier three times, which must drop the same units: none.
    return GradientPlan(method, "inference", reason)


def _key(classifier, image_shape, reward_gradient):
    """What a plan depends on, as text; None for a classifier that cannot say what it is."""
    try:
        trainable = [layer.trainable for layer in classifier._flatten_layers()]
        config = [type(classifier).__module__, type(classifier).__qualname__, classifier.get_config()]
        return json.dumps([config, trainable, image_shape, reward_gradient], default=repr)
    except Exception:  # get_config of a class of a user's own may raise anything
        return None


def _section_pass(trial):
    """The first pass in which no sample changes the gradient of another, and the gradient is right."""
    for section in SECTIONS:
        mixed = trial.mixes_samples(_call(section))
        if not mixed and trial.first_derivative(_call(section)) is not Verdict.WRONG:
            return section
    if mixed:
        raise ModelError(
            "The classifier's score of a sample depends on the other samples of its batch, in inference mode "
            "too, so that the alignment of one sample is not defined. Usual causes: a mean over the batch "
            "axis, or a reshape that mixes samples."
        )
    warnings.warn(
        "TensorFlow's input gradient of the classifier differs from differences of its score, in inference "
        "mode too: an operation in it has an approximate gradient, and S and F are those of that gradient.",
        stacklevel=2,
    )
    return section


def _call(section):
    return lambda classifier, image: _InPass(classifier, section)(image)
