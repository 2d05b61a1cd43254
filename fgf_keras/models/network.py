"""Any callable classifier as a function of the input that is differentiated."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from fgf_keras.errors import FgfError, ModelError
from fgf_keras.models.input_gradient import as_logits, compute_type
from fgf_keras.models.loaded import call_function

Key = str | int


class Network:
    """A classifier as a callable of (image, training) to logits, for models that are not just that.

    Args:
        model: callable of a tensor, or of a dictionary or list of tensors.
        key: of the differentiated input, None if the inputs are one tensor.
        names: keys of the other inputs, in the order in which they are bound.
        output: key of the logits among several outputs, or None.
        pair: classes (first, second) whose contrast is the score; (k, None) for the logit of class k; None
            for all logits.
        classes: how many classes have names; None if they have none.

    Attributes:
        model, key, names: as given.
    """

    def __init__(
        self,
        model: Any,
        *,
        key: Key | None = None,
        names: Sequence[Key] = (),
        output: Key | None = None,
        pair: tuple[int, int | None] | None = None,
        classes: int | None = None,
    ) -> None:
        self.model, self.key, self.names = model, key, tuple(names)
        self._call, self._output = call_function(model), output
        self._pair, self._classes = pair, classes
        self._replacement: Callable[..., Any] | None = None
        self._ending: Callable[[tf.Tensor], tf.Tensor] | None = None
        self.compute_dtype = compute_type(model)

    def __call__(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """See `logits`; for a model without other inputs."""
        return self.logits(image, (), training)

    def bound(self, others: Sequence[tf.Tensor]) -> "BoundNetwork":
        """The network for a batch of its other inputs, in the order of `names`."""
        return BoundNetwork(self, tuple(others))

    def logits(self, image: tf.Tensor, others: Sequence[tf.Tensor], training: bool) -> tf.Tensor:
        """Logits (B, 1) or (B, K) of the chosen output, or the chosen score (B, 1)."""
        if self._ending is None:
            return self._targeted(as_logits(self.output(image, others, training)))
        if tf.executing_eagerly():
            return tf.function(self.logits, autograph=False)(image, others, training)
        return self._targeted(as_logits(self._ending(self.output(image, others, training))))

    @property
    def is_plain(self) -> bool:
        """Whether the logits are those of the model as it is."""
        changes = (self._output, self._pair, self._replacement, self._ending)
        return all(change is None for change in changes)

    def replace_call(self, function: Callable[..., Any]) -> None:
        """Let a function of (image, *others) compute the output from now on."""
        self._replacement = function

    def end_before(self, ending: Callable[[tf.Tensor], tf.Tensor]) -> None:
        """Use, from now on, what a function of the output in a graph returns in place of the output."""
        self._ending = ending

    def output(self, image: tf.Tensor, others: Sequence[tf.Tensor], training: bool) -> tf.Tensor:
        """The chosen output as the model returns it."""
        if self._replacement is not None:
            outputs = self._replacement(image, *others)
            return outputs[0] if isinstance(outputs, (list, tuple)) else outputs
        outputs = _outputs(self._call, self._inputs(image, others), training)
        if isinstance(outputs, Mapping):
            return self._chosen(dict(outputs))
        if isinstance(outputs, (list, tuple)):
            return self._chosen(dict(enumerate(outputs)))
        if self._output is not None:
            raise ModelError(f"The model has one output, and output={self._output!r} names one of several.")
        if not tf.is_tensor(outputs):
            as_logits(outputs)  # which says what it must be
        return outputs

    def _inputs(self, image: tf.Tensor, others: Sequence[tf.Tensor]) -> Any:
        if self.key is None:
            return image
        inputs = {self.key: image, **dict(zip(self.names, others, strict=True))}
        return [inputs[i] for i in range(len(inputs))] if isinstance(self.key, int) else inputs

    def _chosen(self, outputs: dict[Key, tf.Tensor]) -> tf.Tensor:
        if self._output is None and len(outputs) == 1:
            return next(iter(outputs.values()))
        names = ", ".join(map(repr, outputs))
        if self._output is None:
            raise ModelError(
                f"The model has several outputs, {names}. Choose one: fgf_keras.Score(model, output=…)."
            )
        if self._output not in outputs:
            raise ModelError(f"The model has no output {self._output!r}. It has: {names}.")
        return outputs[self._output]

    def _targeted(self, logits: tf.Tensor) -> tf.Tensor:
        if self._pair is None:
            return logits
        first, second = self._pair
        count = max(2, logits.shape[1])
        if self._classes not in (None, count):
            raise ModelError(f"The classifier has {count} classes, and classes=[…] names {self._classes}.")
        for number in self._pair:
            if number is not None and not 0 <= number < count:
                raise ModelError(
                    f"target: the classifier has {count} classes, 0 to {count - 1}. Received: class {number}."
                )
        if logits.shape[1] == 1:
            return logits if first == 1 else -logits
        if second is None:
            others = tf.gather(logits, [k for k in range(count) if k != first], axis=1)
            # The logit of the class's probability; for two classes the difference of the two.
            return logits[:, first : first + 1] - tf.reduce_logsumexp(others, axis=1, keepdims=True)
        return logits[:, first : first + 1] - logits[:, second : second + 1]


class BoundNetwork(NamedTuple):
    """A network with its other inputs held, as a callable of (image, training) to logits."""

    network: Network
    others: tuple[tf.Tensor, ...]

    def __call__(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """See `Network.logits`."""
        return self.network.logits(image, self.others, training)

    @property
    def compute_dtype(self) -> str:
        """As of the network."""
        return self.network.compute_dtype


def _outputs(call: Callable[..., Any], inputs: Any, training: bool) -> Any:
    """What a model returns; whatever it raises becomes a `ModelError` that says what it was given."""
    try:
        return call(inputs, training)
    except FgfError:
        raise
    except (LookupError, NotImplementedError, TypeError, ValueError, tf.errors.OpError) as error:
        shapes = tf.nest.map_structure(lambda tensor: f"{tuple(tensor.shape)} {tensor.dtype.name}", inputs)
        raise ModelError(
            f"The classifier cannot be called with inputs of shape and type {shapes}: {_reason(error)} See "
            "that they have the names, axes and types that it was trained with; several inputs are a "
            "dictionary or a list."
        ) from error


def _reason(error: Exception) -> str:
    """The part of an error's text that says why: what Keras prints in bold, or its first or last line."""
    text = str(error.args[0]) if error.args else str(error)
    bold = re.search("\x1b\\[1m(.*?)\x1b\\[0m", text, re.DOTALL)
    lines = [line.strip() for line in (bold.group(1) if bold else text).splitlines() if line.strip()] or [""]
    line = lines[-1] if lines[0] == "in user code:" else lines[0]
    return f"{type(error).__name__}: {line.rstrip('.')}."
