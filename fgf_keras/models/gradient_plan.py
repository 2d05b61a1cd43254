"""The plan by which a training step computes the section of a classifier and the reward's weight gradient."""

import contextlib
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.models.derivative_trial import Call, DerivativeTrial, Verdict
from fgf_keras.models.input_gradient import Classifier
from fgf_keras.models.network import Key
from fgf_keras.models.scoped_replacements import exact_moments, moving_statistics
from fgf_keras.models.second_derivatives import layers_without_second_derivative

REWARD_GRADIENTS = ("auto", "exact", "difference")
# Passes of the classifier in which the section can be computed, in the order in which they are tried.
SECTIONS = ("shared", "moving", "inference")
_REASONS = {
    Verdict.RIGHT: "second derivatives agree with differences of gradients",
    Verdict.WRONG: "second derivatives are missing or incomplete",
    Verdict.UNKNOWN: "no difference of gradients was accurate enough to check second derivatives",
}
# Plans by what they depend on, so that the same network is tried only once per process.
_plans: dict[str, "GradientPlan"] = {}

_log = logging.getLogger(__name__)


class GradientPlan(NamedTuple):
    """How a training step computes the section and the reward's weight gradient.

    Attributes:
        method: "exact", by second derivatives, or "difference", see `difference_of_gradients`.
        section: the pass of the classifier in which the section is computed: the first of `SECTIONS` in which
            no sample changes the gradient of another and the gradient is right. "shared" is the pass of the
            task loss. The others are additional passes: "moving" in training mode but with the moving
            statistics of batch normalisation, "inference" in inference mode.
        reason: the reason for the method, in words.
    """

    method: str
    section: str
    reason: str

    def passed(self, classifier: Classifier) -> Classifier:
        """The classifier in the section's pass: a callable of (image, training) to outputs."""
        return _InPass(classifier, self.section)


class _InPass(NamedTuple):
    """A classifier in the mode of a section's pass, with the interface of a classifier."""

    classifier: Classifier
    section: str

    def __call__(self, image: tf.Tensor, training: bool | None = None) -> Any:
        del training
        moving = moving_statistics() if self.section == "moving" else contextlib.nullcontext()
        with exact_moments, moving:
            return self.classifier(image, training=self.section != "inference")

    @property
    def compute_dtype(self) -> Any:
        return self.classifier.compute_dtype


def gradient_plan(
    classifier: Classifier,
    image_shape: Sequence[int],
    reward_gradient: str | None = "auto",
    *,
    key: Key | None = None,
    others: Mapping[Key, tf.TensorSpec] | None = None,
) -> GradientPlan:
    """The plan for a classifier, determined by trying it on a random image and logged when it is made.

    Args:
        classifier: Keras model from (B, …, C) to logits.
        image_shape: of one sample.
        reward_gradient: "exact" or "difference" for that method; "auto" for exact wherever second derivatives
            are right, as they are for networks with kinks (ReLU, max pooling), although they do not see the
            switches there; None if nothing is rewarded.
        key, others: of the differentiated input and of the other ones, if the classifier has several.

    Raises:
        ModelError: samples of a batch change each other's scores even in inference mode; or the plan would be
            a difference of gradients in half precision.
    """
    others = dict(others or {})
    identity = _identity(classifier, image_shape, reward_gradient, key, others)
    if identity is None or identity not in _plans:
        trial = DerivativeTrial(classifier, image_shape, key=key, others=others)
        plan = _made_plan(classifier, trial, reward_gradient)
        _log.info("Reward gradient: %s (%s); section: %s pass.", plan.method, plan.reason, plan.section)
        if identity is None:
            return plan
        _plans[identity] = plan
    return _plans[identity]


def _made_plan(classifier: Classifier, trial: DerivativeTrial, reward_gradient: str | None) -> GradientPlan:
    section = _section_pass(trial)
    if reward_gradient is None:
        return GradientPlan("exact", section, "nothing is rewarded")
    method, reason = reward_gradient, "as asked for"
    if reward_gradient == "auto":
        verdict = trial.second_derivative(_call(section))
        method = "difference" if verdict is Verdict.WRONG else "exact"
        reason = _REASONS[verdict]
        if verdict is Verdict.WRONG:
            layers = layers_without_second_derivative(classifier, trial.held, trial.image)
            reason += f": {', '.join(layers)}" if layers else ""
    if method == "exact":
        return GradientPlan(method, section, reason)
    if classifier.compute_dtype not in ("float32", "float64"):
        raise ModelError(
            f"The reward's gradient would be a difference of gradients ({reason}), of which rounding to "
            f"{classifier.compute_dtype} leaves nothing. Train in float32 (compute.precision: float32), or "
            "without the layers whose gradient has no derivative, e.g. bilinear resizing."
        )
    # The classifier is called three times, and all calls must drop the same units: none.
    return GradientPlan(method, "inference", reason)


def _identity(classifier: Classifier, *settings: Any) -> str | None:
    """What a plan depends on, as text; None for a classifier without a configuration."""
    try:
        trainable = [layer.trainable for layer in classifier._flatten_layers()]
        config = [type(classifier).__module__, type(classifier).__qualname__, classifier.get_config()]
        return json.dumps([config, trainable, *settings], default=repr)
    except Exception:  # get_config of a user-defined class may raise anything
        return None


def _section_pass(trial: DerivativeTrial) -> str:
    """The first pass in which no sample changes the gradient of another and the gradient is right."""
    for section in SECTIONS:
        mixed = trial.mixes_samples(_call(section))
        if not mixed and trial.first_derivative(_call(section)) is not Verdict.WRONG:
            return section
    if mixed:
        raise ModelError(
            "The classifier's score of a sample depends on the other samples of its batch, even in inference "
            "mode, so the alignment of a single sample is not defined. Usual causes: a mean over the batch "
            "axis, or a reshape that mixes samples."
        )
    warnings.warn(
        "TensorFlow's input gradient of the classifier differs from differences of its score, even in "
        "inference mode: an operation in it has an approximate gradient, and S and F are those of that "
        "gradient.",
        stacklevel=2,
    )
    return section


def _call(section: str) -> Call:
    return lambda classifier, image: _InPass(classifier, section)(image)
