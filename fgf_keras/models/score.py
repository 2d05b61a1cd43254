"""The score of a classifier: which of its inputs is differentiated, and which output is explained."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.models.input_gradient import Classifier, dtype_of
from fgf_keras.models.inputs import IMAGE, declared_inputs
from fgf_keras.models.loaded import loaded
from fgf_keras.models.logits import has_one_output, logits_of, remove_probability
from fgf_keras.models.network import Key, Network

# A class: its number, or one of the names given as `classes`.
Class = int | str


class Score:
    """The score z(x) of a classifier of any kind, as a function of one of its inputs, with the others held.

    Args:
        model: a Keras model of any kind, built or not; a Python function or `tf.function` of its inputs; a
            `keras.layers.TFSMLayer`; what `tf.saved_model.load` returns, or one of its endpoints; or the path
            of a `.keras` or `.h5` file or of a SavedModel. Its inputs are one tensor, or a dictionary or list
            of tensors; `training=False` is passed if it takes that. A sigmoid or softmax at its end is
            removed, with a warning, so that the score is a logit.
        input: the input that is differentiated and that features are functions of: a key of a dictionary of
            inputs, or a position in a list; by default "image", or the only one.
        target: the score that is explained. None: the logit for two classes; for K > 2 the section of all
            logits, with the margin between the most probable two as the decision. A class k: the logit of its
            probability, z_k - log Σ_{j≠k} exp z_j (of a single logit z: z for class 1, -z for class 0). A
            pair of classes: z_first - z_second.
        output: key, name or position of the logits among several outputs.
        classes: names of the classes, in the order of the logits, if `target` names classes.

    Attributes:
        owner: what was given or loaded, of which `model` is the callable.

    Raises:
        ModelError: something that can neither be called nor loaded, or a target that is no class.

    Example:
        >>> score = Score(model, input="image", target=("cancer", "benign"), classes=["benign", "cancer"])
        >>> explain(score, {"image": images, "age": age}, masks, features="brightness")
    """

    def __init__(
        self,
        model: Any,
        *,
        input: Key | None = None,
        target: Class | tuple[Class, Class] | None = None,
        output: Key | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        # A function of a SavedModel does not keep the variables that it uses.
        self.model: Any
        self.owner, self.model = loaded(model)
        self.input, self.output, self.target = input, output, target
        self.classes = None if classes is None else _names_of_classes(classes)
        self._pair = None if target is None else self._pair_of(target)
        self._networks: dict[Any, Classifier] = {}

    @classmethod
    def of(cls, model: Any) -> Self:
        """The argument if it is a `Score`; otherwise the score of a model with all defaults."""
        return model if isinstance(model, cls) else cls(model)

    def of_model(self, model: Any) -> "Score":
        """The same score of another model."""
        return Score(model, input=self.input, target=self.target, output=self.output, classes=self.classes)

    def separated(self, inputs: Any) -> tuple[Key | None, Any, dict[Key, Any]]:
        """The key of the differentiated input, that input, and the others.

        The key is None if the model is called with one tensor: for inputs that are no dictionary, or one of a
        single entry that `input` does not name.

        Raises:
            ModelError: there is no input of that name, or several and no name.
        """
        if not isinstance(inputs, Mapping):
            if not isinstance(self.input, int):
                return None, inputs, {}
            inputs = dict(enumerate(inputs))
        inputs = dict(inputs)
        names = ", ".join(map(repr, inputs)) or "none"
        key = self.input
        if key is None:
            key = IMAGE if IMAGE in inputs else next(iter(inputs)) if len(inputs) == 1 else None
        if key is None:
            raise ModelError(
                f"There are several inputs ({names}), and none is named {IMAGE!r}. Name the one to "
                "differentiate: fgf_keras.Score(model, input=…)."
            )
        if key not in inputs:
            raise ModelError(f"There is no input {key!r}. Received the inputs: {names}.")
        image = inputs.pop(key)
        return (key if inputs or self.input is not None else None), image, inputs

    def network(
        self, key: Key | None, image: tf.TensorSpec, others: Mapping[Key, tf.TensorSpec]
    ) -> Classifier:
        """The model as a callable of (image, training) to logits; see `Network.bound` for other inputs.

        A graph of layers from one tensor to its logits is returned as it is.

        Args:
            key: see `separated`.
            image: shape and type of the differentiated input, with a leading axis of None.
            others: the same of the other inputs.

        Raises:
            ModelError: outputs that are not one row of logits per sample, no such input, output or class.
        """
        specs = {name: (tuple(spec.shape), spec.dtype) for name, spec in others.items()}
        identity = (key, tuple(image.shape), image.dtype, tuple(specs.items()))
        if identity not in self._networks:
            self._networks[identity] = self._made(key, image, others)
        return self._networks[identity]

    def _made(self, key: Key | None, image: tf.TensorSpec, others: Mapping[Key, tf.TensorSpec]) -> Classifier:
        self._build(key, image, others)
        if not others and isinstance(getattr(self.model, "input", None), keras.KerasTensor):
            key = None
        self._check_names(key, others)
        model = logits_of(self.model, self.output)
        chosen = model is not self.model
        output = None if chosen else self.output
        classes = None if self.classes is None else len(self.classes)
        network = Network(model, key=key, names=list(others), output=output, pair=self._pair, classes=classes)
        if isinstance(model, keras.Layer):
            specs = [tf.TensorSpec(image.shape, dtype_of(model)), *others.values()]
            removed = remove_probability(network, specs)
        else:
            removed = _try_types(network, image, list(others.values()))
        plain = key is None and self._pair is None and output is None and has_one_output(model)
        return model if plain and not removed else network

    def _build(self, key: Key | None, image: tf.TensorSpec, others: Mapping[Key, tf.TensorSpec]) -> None:
        """Give weights to a Keras model that has none yet, by calling it once."""
        if not isinstance(self.model, keras.Layer) or self.model.built:
            return
        tensors = [tf.zeros([1, *spec.shape[1:]], spec.dtype) for spec in (image, *others.values())]
        network = Network(self.model, key=key, names=list(others), output=self.output)
        network.output(tensors[0], tensors[1:], False)

    def _check_names(self, key: Key | None, others: Mapping[Key, Any]) -> None:
        """Refuse inputs other than those that a graph of layers declares."""
        declared = list(declared_inputs(self.model))
        if isinstance(getattr(self.model, "input", None), keras.KerasTensor):
            declared = [] if key is None else ["a single tensor"]
        given = [] if key is None else [key, *others]
        by_name = all(isinstance(name, str) for name in given)
        if declared and (set(given) != set(declared) if by_name else len(given) != len(declared)):
            raise ModelError(
                f"The classifier takes the inputs: {', '.join(declared)}. Received: "
                f"{', '.join(map(str, given)) or 'one without a name'}."
            )

    def _pair_of(self, target: Class | tuple[Class, Class]) -> tuple[int, int | None]:
        if not isinstance(target, (tuple, list)):
            return self._number(target), None
        pair = [self._number(name) for name in target]
        if len(set(pair)) != 2 or len(pair) != 2:
            raise ModelError(f"target must be a class, or two different ones. Received: target={target!r}.")
        return pair[0], pair[1]

    def _number(self, name: Class) -> int:
        if isinstance(name, str):
            if self.classes is None or name not in self.classes:
                known = "no names; give classes=[…]" if self.classes is None else ", ".join(self.classes)
                raise ModelError(f"target: there is no class {name!r}. The classes have: {known}.")
            return self.classes.index(name)
        if isinstance(name, bool) or not isinstance(name, numbers.Integral) or name < 0:
            raise ModelError(f"target: a class is a number from 0, or a name. Received: {name!r}.")
        return int(name)


def _names_of_classes(classes: Sequence[str]) -> list[str]:
    names = list(classes)
    if isinstance(classes, str) or len(set(names)) < len(names):
        raise ModelError(f"classes must be a list of names, each of its own. Received: classes={classes!r}.")
    return names


def _try_types(network: Network, image: tf.TensorSpec, others: list[tf.TensorSpec]) -> bool:
    """Let a network compute in the type that its function takes: float32, or else float64.

    Returns:
        Whether a final sigmoid or softmax was removed.
    """
    try:
        return remove_probability(network, [tf.TensorSpec(image.shape, tf.float32), *others])
    except (ModelError, TypeError, ValueError, tf.errors.OpError) as error:
        network.compute_dtype = "float64"
        try:
            return remove_probability(network, [tf.TensorSpec(image.shape, tf.float64), *others])
        except (ModelError, TypeError, ValueError, tf.errors.OpError):
            raise error from error.__cause__
    except AssertionError as error:
        if "variables which have been deleted" not in str(error):
            raise
        raise ModelError(
            "The endpoint belongs to a SavedModel that nothing holds any more: its weights are gone. Give "
            "the whole model, fgf_keras.Score(tf.saved_model.load(path)), or its path."
        ) from error
