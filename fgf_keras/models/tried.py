"""The gradient plan of a classifier after trying it and its features on synthetic samples."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from fgf_keras.features.base import Feature, refuse_coupled, refuse_ranks
from fgf_keras.models.derivative_trial import example_of
from fgf_keras.models.gradient_plan import GradientPlan, gradient_plan
from fgf_keras.models.input_gradient import Classifier
from fgf_keras.models.inputs import IMAGE, declared_inputs
from fgf_keras.models.logits import refuse_probability_operation
from fgf_keras.models.network import Key, Network
from fgf_keras.models.second_derivatives import refuse_undefined

# Edge of the synthetic samples for a classifier that takes any size, px.
ANY_EDGE = 64


def tried_plan(
    classifier: Classifier,
    features: Sequence[Feature],
    image_shape: Sequence[int | None],
    reward_gradient: str | None,
    key: Key | None,
    others: Mapping[Key, tf.TensorSpec] | None,
) -> GradientPlan:
    """The plan for a classifier, after refusing features and classifiers that a reward cannot be on.

    Args:
        classifier: Keras model to logits.
        features: all that are measured or rewarded.
        image_shape: of one sample, None for sizes that are left open.
        reward_gradient: see `gradient_plan`.
        key: of the differentiated input; None for "image", or for the only one.
        others: shape and type of the other inputs; None for those that the classifier declares.

    Raises:
        FeatureError: a feature that does not take such samples, or mixes those of a batch.
        ModelError: the classifier returns probabilities, or see `gradient_plan`.
    """
    if others is None:
        declared = declared_inputs(classifier)
        others = {name: spec for name, spec in declared.items() if name != (key or IMAGE)}
    if others:
        key = key or IMAGE
    shape = tuple(edge or ANY_EDGE for edge in image_shape)
    refuse_ranks(features, len(shape) - 1)
    image = np.random.default_rng(0).uniform(size=(2, *shape)).astype(np.float32)
    mask: np.ndarray = np.ones((2, *shape[:-1], 1), np.float32)
    if len(shape) > 1:
        mask[1, : shape[0] // 2] = 0
    called = classifier if key is None else Network(classifier, key=key, names=list(others))
    specs = [tf.TensorSpec([None, *shape], tf.float32), *others.values()]
    refuse_probability_operation(called, *specs)
    refuse_coupled(features, tf.constant(image * mask), tf.constant(mask))
    plan = gradient_plan(classifier, shape, reward_gradient, key=key, others=others)
    held = called if key is None else called.bound([example_of(spec, 2) for spec in others.values()])
    refuse_undefined(
        classifier,
        held,
        tf.constant(image),
        tf.constant(mask),
        second=reward_gradient is not None and plan.method == "exact",
    )
    return plan
