"""A trial of whether TensorFlow's derivatives of a classifier are right, on a copy of it in float64."""

import contextlib
import enum
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from fgf_keras.geometry.sections import section_scores
from fgf_keras.models.input_gradient import Classifier, as_logits
from fgf_keras.models.network import Key, Network

# Function of (classifier, image) to outputs.
Call = Callable[[Classifier, tf.Tensor], Any]
_Answer = TypeVar("_Answer")
# Half steps of the central differences to compare with, as fractions of the image's norm, and the tolerance
# for agreement, as a fraction of the difference's norm. A step as small as the first meets no kink of a ReLU
# network; large ones are for networks that round to float32 internally, as tf.image.resize does, and those
# with a wide tolerance for such networks with kinks.
_STEPS = {
    "float64": (
        (1e-7, 2e-3),
        (2e-8, 2e-3),
        (1e-5, 2e-3),
        (1e-5, 1e-1),
        (1e-4, 2e-2),
        (1e-3, 1e-2),
        (3e-2, 5e-2),
    ),
    "float32": ((3e-2, 5e-2), (1e-2, 5e-2), (1e-1, 5e-2)),
}
# Gradients of one sample's score at another sample are rounding errors below this fraction of those at its
# own.
_ROUNDING = 1e-5


class Verdict(enum.Enum):
    """The result of a trial of a derivative; UNKNOWN if no difference was accurate enough to decide."""

    RIGHT = enum.auto()
    WRONG = enum.auto()
    UNKNOWN = enum.auto()


class DerivativeTrial:
    """Compares derivatives of one score, at one random image and direction, with central differences.

    It uses a copy in float64, where steps can be so small that kinks play no role. A classifier that cannot
    be copied is tried as it is; kinks within a step then count as errors.

    Args:
        classifier: Keras model from (B, …, C) to logits.
        image_shape: of one sample.
        key, others: of the differentiated input and of the other ones, if the classifier has several.
    """

    def __init__(
        self,
        classifier: Classifier,
        image_shape: Sequence[int],
        *,
        key: Key | None = None,
        others: Mapping[Key, tf.TensorSpec] | None = None,
    ) -> None:
        # The classifier with its other inputs held, and what its images are like.
        self.image = tf.TensorSpec([None, *image_shape], tf.float32)

        def held(network: Classifier) -> Classifier:
            return network if key is None else _Held(network, key, others or {})

        with _making_float64():
            copy = _in_float64(classifier, held, image_shape)
        self._trials = [] if copy is None else [_Trial(copy, held(copy), image_shape, "float64")]
        self.held = held(classifier)
        self._trials.append(_Trial(classifier, self.held, image_shape, "float32"))

    def mixes_samples(self, call: Call) -> bool:
        """Whether the score of one sample has a gradient at another.

        Args:
            call: function of (classifier, image) to outputs, in the mode to try.
        """
        return self._first(lambda trial: trial.mixes_samples(call))

    def first_derivative(self, call: Call) -> Verdict:
        """The verdict on ∇_x z; `call` as for `mixes_samples`."""
        return self._first(
            lambda trial: trial.verdict(call, _Trial.input_gradient, _Trial.difference_of_scores)
        )

    def second_derivative(self, call: Call) -> Verdict:
        """The verdict on ∇_w ⟨∇_x z, u⟩; `call` as for `mixes_samples`."""
        return self._first(
            lambda trial: trial.verdict(call, _Trial.gradient_of_gradient, _Trial.difference_of_gradients)
        )

    def _first(self, question: Callable[["_Trial"], _Answer]) -> _Answer:
        """The answer of the first trial that has one: some operations have no float64 version."""
        *others, last = self._trials
        for trial in others:
            with contextlib.suppress(tf.errors.OpError):
                return question(trial)
        return question(last)


class _Trial:
    """One image x, one direction u and one score z of a network."""

    def __init__(self, network: Classifier, held: Classifier, image_shape: Sequence[int], dtype: str) -> None:
        rng = np.random.default_rng(0)
        self._network, self._held, self._dtype = network, held, dtype
        self._image = tf.constant(rng.uniform(size=(1, *image_shape)), dtype)
        self._direction = tf.constant(rng.normal(size=self._image.shape), dtype)
        self._mix = rng.normal(size=64)

    def verdict(
        self,
        call: Call,
        exact: Callable[["_Trial", Call], np.ndarray],
        difference: Callable[["_Trial", Call, float], np.ndarray],
    ) -> Verdict:
        """Compare `exact` with `difference` for each step; both are methods of this class."""
        try:
            derivative = exact(self, call)
        except LookupError:  # an operation without a gradient
            return Verdict.WRONG
        for step, tolerance in _STEPS[self._dtype]:
            one, two = difference(self, call, step), difference(self, call, 2 * step)
            limit = tolerance * np.linalg.norm(one)
            # A difference that depends on its step is no evidence: rounding, or a kink within the step.
            if np.linalg.norm(two - one) <= limit / 2:
                return Verdict.RIGHT if np.linalg.norm(derivative - one) <= limit else Verdict.WRONG
        return Verdict.UNKNOWN

    def mixes_samples(self, call: Call) -> bool:
        """As `DerivativeTrial.mixes_samples`."""
        batch = tf.concat([self._image, self._image + self._direction, -self._direction], axis=0)
        with tf.GradientTape(watch_accessed_variables=False) as tape, _undisturbed_state(self._network):
            tape.watch(batch)
            first = tf.reduce_sum(section_scores(as_logits(call(self._held, batch)))[0])
        try:
            gradient = tape.gradient(first, batch)
        except LookupError:
            gradient = None
        if gradient is None:  # a missing gradient is reported where the gradient is needed
            return False
        size = tf.reduce_max(tf.abs(gradient), axis=range(1, len(gradient.shape)))
        return bool(tf.reduce_max(size[1:]) > _ROUNDING * size[0])

    def input_gradient(self, call: Call) -> np.ndarray:
        """⟨∇_x z(x), u⟩, (1,)."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._image)
            score = self._score(call, self._image)
        gradient = tape.gradient(score, self._image)
        return np.zeros(1) if gradient is None else np.sum(gradient * self._direction).reshape(1)

    def difference_of_scores(self, call: Call, step: float) -> np.ndarray:
        """[z(x + hu) - z(x - hu)] / 2h, (1,), with ‖hu‖ = step·‖x‖."""
        ahead, behind, h = self._on_both_sides(step)
        return (self._score(call, ahead).numpy() - self._score(call, behind).numpy()).reshape(1) / (2 * h)

    def gradient_of_gradient(self, call: Call) -> np.ndarray:
        """∇_w ⟨∇_x z(x), u⟩, flat."""
        with tf.GradientTape() as outer:
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(self._image)
                score = self._score(call, self._image)
            along = tf.reduce_sum(inner.gradient(score, self._image) * self._direction)
        return self._flat(outer, along)

    def difference_of_gradients(self, call: Call, step: float) -> np.ndarray:
        """[∇_w z(x + hu) - ∇_w z(x - hu)] / 2h, flat, with ‖hu‖ = step·‖x‖."""
        ahead, behind, h = self._on_both_sides(step)
        return (self._gradient(call, ahead) - self._gradient(call, behind)) / (2 * h)

    def _on_both_sides(self, step: float) -> tuple[tf.Tensor, tf.Tensor, float]:
        h = step * float(tf.norm(self._image) / tf.norm(self._direction))
        return self._image + h * self._direction, self._image - h * self._direction, h

    def _gradient(self, call: Call, image: tf.Tensor) -> np.ndarray:
        with tf.GradientTape() as tape:
            score = self._score(call, image)
        return self._flat(tape, score)

    def _score(self, call: Call, image: tf.Tensor) -> tf.Tensor:
        with _undisturbed_state(self._network):
            scores = section_scores(as_logits(call(self._held, image)))[0]
        return tf.reduce_sum(scores * self._mix[: scores.shape[0]])

    def _flat(self, tape: tf.GradientTape, value: tf.Tensor) -> np.ndarray:
        variables = self._network.trainable_variables
        gradients = zip(tape.gradient(value, variables), variables)
        return np.concatenate([np.ravel(np.zeros(v.shape) if g is None else g.numpy()) for g, v in gradients])


@contextlib.contextmanager
def _undisturbed_state(network: Classifier) -> Iterator[None]:
    """Restore what calls in training mode change: statistics and the states of random generators."""
    state = [(variable, variable.numpy()) for variable in network.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in state:
            variable.assign(value)


class _Held:
    """A network of several inputs with all but one held at random values, the same for every sample."""

    def __init__(self, network: Classifier, key: Key, others: Mapping[Key, tf.TensorSpec]) -> None:
        self._network = Network(network, key=key, names=list(others))
        self._others = [example_of(spec, 1) for spec in others.values()]
        self.compute_dtype = network.compute_dtype

    def __call__(self, image: tf.Tensor, training: bool = False) -> Any:
        count = tf.shape(image)[0]
        others = [tf.repeat(other, count, axis=0) for other in self._others]
        return self._network.bound(others)(image, training=training)


def example_of(spec: tf.TensorSpec, count: int) -> tf.Tensor:
    """Values of an input for some samples, all the same."""
    shape = [1, *(edge or 1 for edge in spec.shape[1:])]
    if spec.dtype == tf.string:
        return tf.fill([count, *shape[1:]], "")
    if not spec.dtype.is_floating:  # 0 is an index that every embedding has
        return tf.zeros([count, *shape[1:]], spec.dtype)
    example = tf.constant(np.random.default_rng(1).uniform(size=shape), spec.dtype)
    return tf.repeat(example, count, axis=0)


def _in_float64(
    classifier: Classifier, held: Callable[[Classifier], Classifier], image_shape: Sequence[int]
) -> Classifier | None:
    """A copy of a classifier that computes in float64; None if it cannot be made."""
    types = {type(layer).__name__: type(layer) for layer in classifier._flatten_layers()}
    try:
        with keras.saving.custom_object_scope(types):
            copy = type(classifier).from_config(_with_dtype(classifier.get_config()))
        outputs = held(copy)(tf.zeros((1, *image_shape), tf.float64), training=False)
        copy.set_weights(classifier.get_weights())
    except Exception:  # user-defined layers may fail in any way
        return None
    return copy if as_logits(outputs).dtype == tf.float64 else None


def _with_dtype(config: Any) -> Any:
    """A layer's configuration with every floating point type replaced by float64."""
    if isinstance(config, dict):
        return {k: _float64(value) if k == "dtype" else _with_dtype(value) for k, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_with_dtype(value) for value in config)
    return config


def _float64(policy: Any) -> Any:
    name = policy["config"]["name"] if isinstance(policy, dict) else policy
    return "float64" if "float" in str(name) else policy


@contextlib.contextmanager
def _making_float64() -> Iterator[None]:
    """Make layers in float64 inside this context, without changing the random numbers drawn afterwards."""
    # The initial weights of the copy are drawn and then discarded.
    state, floatx, policy = random.getstate(), keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        random.setstate(state)
