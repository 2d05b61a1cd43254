"""The reward of a training step: at which images, on which features, and what its weight gradient is."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from fgf_keras.features.base import Feature
from fgf_keras.geometry.alignment import alignment_products
from fgf_keras.geometry.products import inner, norm_of, on_support, per_sample, weighted_sum
from fgf_keras.geometry.sections import decision_pair, decision_score, decision_weights
from fgf_keras.models.gradient_plan import GradientPlan
from fgf_keras.models.input_gradient import Classifier, section_gradients
from fgf_keras.models.reward_gradient import difference_of_gradients
from fgf_keras.models.rewards import Alignment, Reward
from fgf_keras.models.view import View

# A path that is followed for a reward would reach the boundary in this many steps if the score were linear.
STEPS = 4


class Place(NamedTuple):
    """Where the reward is taken: the batch itself, or a later point of its paths.

    Attributes:
        view: of the images there.
        section: (B, R, …, C), on the whole view.
        features: (B, m, …, C), gradients of the rewarded features on the support.
    """

    view: View
    section: tf.Tensor
    features: tf.Tensor


class RewardTerm:
    """The reward of a batch as a part of the loss.

    Args:
        reward: which function of the alignment.
        features: those it is on.
        support: "mask" or "image".
        epsilon: see `AlignmentModel`.
    """

    def __init__(self, reward: Reward, features: Sequence[Feature], support: str, epsilon: float) -> None:
        self.reward, self._features, self._epsilon = reward, features, epsilon
        self._on_mask = support == "mask"

    def gradients_of(self, view: View, features: Sequence[Feature]) -> tf.Tensor:
        """∇g of features on the support, (B, m, …, C)."""
        return on_support(view.feature_gradients(features), self._region(view))

    def alignment(self, view: View, section: tf.Tensor, features: tf.Tensor) -> Alignment:
        """The alignment of a section with gradients of features on the support."""
        section = on_support(section, self._region(view))
        return Alignment.of(alignment_products(section, features), self._epsilon)

    def places(
        self,
        view: View,
        logits: tf.Tensor,
        section: tf.Tensor,
        features: tf.Tensor | None,
        plan: GradientPlan | None = None,
        tape: tf.GradientTape | None = None,
    ) -> list[Place]:
        """The batch and the later points of its paths, as many as the reward is averaged over.

        Args:
            view: of the batch.
            logits, section: there.
            features: gradients of the rewarded features there, or None if they are still to be computed.
            plan: of the training step; None for inference.
            tape: the outer tape that must not record the sections; None if it has to.
        """
        features = self.gradients_of(view, self._features) if features is None else features
        places = [Place(view, section, features)]
        for _ in range(1, self.reward.points):
            last = places[-1]
            fall = decision_score(logits, decision_pair(logits)) / (STEPS - len(places) + 1)
            image = self._further(last, logits, fall)
            view = view.at(image, view.context)
            classifier: Classifier = view.classifier if plan is None else plan.passed(view.classifier)
            logits, section = section_gradients(classifier, image, stop_recording=tape)
            places.append(Place(view, section, self.gradients_of(view, self._features)))
        return places

    def value(self, places: Sequence[Place], scale: tf.Tensor) -> tf.Tensor:
        """The reward averaged over places, a scalar.

        Args:
            places: from `places`.
            scale: factor on λ.
        """
        values = [self.reward(self.alignment(*place), scale) for place in places]
        return values[0] if len(values) == 1 else tf.add_n(values) / len(values)

    def rising(self, places: Sequence[Place], scale: tf.Tensor) -> tf.Tensor:
        """A scalar whose weight gradient is that of `value` without second derivatives.

        See `difference_of_gradients`.
        """
        totals = []
        for place in places:
            view, section, features = place
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(section)
                reward = self.reward(self.alignment(view, section, features), scale)
            along = tape.gradient(reward, section)
            totals.append(difference_of_gradients(view.classifier, view.image, along))
        return totals[0] if len(totals) == 1 else tf.add_n(totals) / len(totals)

    def _further(self, place: Place, logits: tf.Tensor, fall: tf.Tensor) -> tf.Tensor:
        """Images where the score has fallen by `fall`, by a step of the first order; constants.

        A step is at most 1/`STEPS` of the norm of its image, because the slope of a saturated score would
        ask for a much larger one.
        """
        section = tf.stop_gradient(on_support(place.section, self._region(place.view)))
        image = tf.stop_gradient(place.view.image)
        gradient = section[:, 0]
        if logits.shape[-1] > 1:
            weights = decision_weights(tf.stop_gradient(logits), section.dtype)
            gradient = weighted_sum(weights[:, tf.newaxis], section)[:, 0]
        step = tf.cast(tf.stop_gradient(fall), gradient.dtype)
        squared = tf.cast(inner(gradient, gradient), gradient.dtype)
        move = per_sample(tf.math.divide_no_nan(step, squared), gradient) * gradient
        most = norm_of(image) / STEPS
        length = norm_of(move)
        factor = tf.where(length > most, tf.math.divide_no_nan(most, length), tf.ones_like(length))
        return image - per_sample(factor, move) * move

    def _region(self, view: View) -> tf.Tensor | None:
        return view.mask if self._on_mask else None
