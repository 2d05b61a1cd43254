"""A paper CNN that is computed only where its image is not zero.

The image is zero outside the tumour, so at every layer the feature map equals that of the all-zero image,
the *background*, except in a window around the tumour. A stage (convolution, activation, pooling) is computed
on the window, which reads its surroundings from the background; the last window is inserted into the last
background; the dense layers follow. The background depends on the weights alone and is constant away from the
border of the canvas, so a few of its pixels stand for all. Nothing is approximated: values and derivatives of
any order in the weights and in the pixels of the window are those of the whole canvas.
"""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.geometry.windows import Edges, edges_of, inside, shift
from fgf_keras.models.window.activation import activated, leaky_relu
from fgf_keras.models.window.average_pooling import AveragePooling
from fgf_keras.models.window.axes import Axis, Step
from fgf_keras.models.window.convolution import Convolution, valid_convolution
from fgf_keras.models.window.size_groups import SizeGroups

_CONVOLUTIONS = (Convolution, keras.layers.Conv2D)
_POOLINGS = (AveragePooling, keras.layers.AveragePooling2D, keras.layers.MaxPooling2D)
# Each acts on every pixel separately, so that a window can be computed alone.
_ACTIVATIONS = [leaky_relu, *(f for _, f in inspect.getmembers(keras.activations, inspect.isfunction))]


class RoiCnn:
    """The logits of a classifier from windows of its images, by the classifier's own layers and weights.

    Args:
        classifier: a `paper_cnn`, or any chain of Keras layers of this kind: convolutions with stride 1 and
            "same" padding, each optionally followed by a pooling whose pools do not overlap; `Flatten`;
            then any layers.

    Raises:
        ModelError: the classifier is not of this kind; the message says where it differs.
    """

    def __init__(self, classifier: keras.Model) -> None:
        layers, self._head = _stages_and_head(_chain(classifier))
        self.compute_dtype = classifier.compute_dtype
        self.canvas = tuple(classifier.input_shape[1:3])
        self._axes = [Axis(size, 0, 0) for size in self.canvas]
        self._stages: list[_Stage] = []
        for convolution, pooling in layers:
            self._stages.append(_Stage(convolution, pooling, self._axes, is_first=not self._stages))
            self._axes = [step.after for step in self._stages[-1].steps]
        self._everywhere = [axis.selection(np.arange(axis.size))[np.newaxis] for axis in self._axes]

    def at(self, origin: tf.Tensor, *, groups: SizeGroups | None = None) -> "_RoiCnnAt":
        """The classifier of windows at origins (B, 2): a callable of (image, training) to logits."""
        return _RoiCnnAt(self, origin, groups)

    def logits(
        self,
        window: tf.Tensor,
        origin: tf.Tensor,
        training: bool = False,
        groups: SizeGroups | None = None,
    ) -> tf.Tensor:
        """Logits (B, 1) or (B, K) of images that are zero outside a window.

        Args:
            window: (B, rows, columns, C), the image inside the window, which lies on the canvas.
            origin: (B, 2) int32, first row and column of each window.
            training: passed to the layers after the convolutions.
            groups: of the windows by the size of what is in them, which saves time; None for one group.
        """
        outputs = self._maps(window, origin) if groups is None else groups.mapped(self._maps, window, origin)
        for layer in self._head:
            outputs = layer(outputs, training=training)
        return outputs

    def _maps(self, window: tf.Tensor, origin: tf.Tensor) -> tf.Tensor:
        """The feature maps of the whole canvas after the last stage."""
        outputs, background = window, None
        for stage in self._stages:
            outputs, origin, background = stage(outputs, origin, background)
        sizes = [axis.size for axis in self._axes]
        return _before(_spread(background, self._everywhere), outputs, -origin, sizes)


class _RoiCnnAt(NamedTuple):
    """`RoiCnn` for windows at fixed origins, with the interface of a classifier."""

    network: RoiCnn
    origin: tf.Tensor
    groups: SizeGroups | None

    def __call__(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.network.logits(image, self.origin, training=training, groups=self.groups)

    @property
    def compute_dtype(self) -> str:
        return self.network.compute_dtype


class _Stage:
    """Convolution, activation and pooling by layers of the classifier, on windows and on the background."""

    def __init__(
        self, convolution: keras.Layer, pooling: keras.Layer | None, axes: Sequence[Axis], *, is_first: bool
    ) -> None:
        pools = pooling.pool_size if pooling is not None else (1, 1)
        sizes = zip(convolution.kernel_size, pools, axes)
        self.steps = [Step.of(kernel, pool, axis, is_first) for kernel, pool, axis in sizes]
        self._convolution, self._pooling = convolution, pooling
        self._pool = np.array(pools, np.int32)
        self._margin = np.array([step.margin for step in self.steps], np.int32)
        self._reach = np.array([step.kernel // 2 for step in self.steps], np.int32)
        self._of_few = [step.before.selection(step.read_by_few())[np.newaxis] for step in self.steps]
        self._of_all = [step.before.selection(step.read_by_all()) for step in self.steps]

    def __call__(
        self, window: tf.Tensor, origin: tf.Tensor, background: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Window, origin and background after the stage; a background of None is zero.

        Args:
            window: (B, rows, columns, C).
            origin: (B, 2).
            background: (few, few, C), the pixels of the background that stand for all.
        """
        cells = [step.cells(edge) for step, edge in zip(self.steps, edges_of(window))]
        most = tf.stack([step.after.size - cell for step, cell in zip(self.steps, cells)])
        corner = tf.maximum(tf.minimum((origin - self._reach) // self._pool, most), 0)
        first = corner * self._pool
        pixels = [step.pixels(cell) for step, cell in zip(self.steps, cells)]
        offset = first - self._margin - origin
        if background is None:
            view = shift(window, offset, pixels)
            few = tf.zeros([1, *(len(s[0]) for s in self._of_few), window.shape[-1]], window.dtype)
        else:
            rows_and_columns = [
                tf.gather(all_pixels, first[:, i : i + 1] + tf.range(pixels[i]))
                for i, all_pixels in enumerate(self._of_all)
            ]
            view = _before(_spread(background, rows_and_columns), window, offset, pixels)
            few = _spread(background, self._of_few)
        weights = self._weights()
        return self._computed(view, *weights), corner, self._computed(few, *weights)[0]

    def _weights(self) -> list[tf.Tensor | None]:
        layer = self._convolution
        # Outside the layer's own call Keras does not cast its weights.
        weights = [layer.kernel, layer.bias] if layer.use_bias else [layer.kernel]
        cast = [tf.cast(weight, layer.compute_dtype) for weight in weights]
        return cast if layer.use_bias else [*cast, None]

    def _computed(self, view: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
        """The feature map of a view that holds all pixels that the convolution reads."""
        outputs = valid_convolution(tf.cast(view, kernel.dtype), kernel)
        outputs = activated(outputs, bias, self._convolution.activation)
        return outputs if self._pooling is None else self._pooling(outputs)


def _before(background: tf.Tensor, window: tf.Tensor, offset: tf.Tensor, edges: Edges) -> tf.Tensor:
    """Rectangles (B, *edges, C) of whole maps: the window where it lies, the background elsewhere."""
    return tf.where(inside(offset, edges, edges_of(window)), shift(window, offset, edges), background)


def _spread(background: tf.Tensor, selections: Sequence[tf.Tensor]) -> tf.Tensor:
    """Rectangles of the background, (B, h, w, C), by selections (B, h, few) and (B, w, few) of its pixels."""
    # By products with zeros and ones, whose derivatives are products again; that of a gather is a scatter.
    rows, columns = (tf.cast(selection, background.dtype) for selection in selections)
    return tf.matmul(columns[:, tf.newaxis], tf.einsum("byr,rxc->byxc", rows, background))


def _chain(classifier: keras.Model) -> list[keras.Layer]:
    """The layers of a classifier, each of which takes the output of the previous one."""
    # A user-defined class may do anything between its layers.
    if type(classifier).__module__.partition(".")[0] != "keras" or not getattr(classifier, "inputs", None):
        raise ModelError(
            f"the classifier is a {type(classifier).__name__}, not a keras.Sequential or a keras.Model made "
            "of inputs and outputs"
        )
    layers = [layer for layer in classifier.layers if not isinstance(layer, keras.layers.InputLayer)]
    if isinstance(classifier, keras.Sequential):
        return layers
    tensors = [*classifier.inputs, *classifier.outputs]
    ends = [(_only(layer, "input"), _only(layer, "output")) for layer in layers]
    links = [tensors[0], *(tensor for pair in ends for tensor in pair), tensors[-1]]
    if len(tensors) != 2 or any(a is not b for a, b in zip(links[::2], links[1::2])):
        raise ModelError("its layers are no chain, each called once with the output of the one before it")
    return layers


def _only(layer: keras.Layer, end: str) -> Any:
    try:
        return getattr(layer, end)
    except (AttributeError, ValueError):  # called several times, or never
        return None


def _stages_and_head(
    layers: list[keras.Layer],
) -> tuple[list[tuple[keras.Layer, keras.Layer | None]], list[keras.Layer]]:
    """Pairs of a convolution and its pooling or None, and `Flatten` with all layers after it."""
    flatten = next((i for i, layer in enumerate(layers) if type(layer) is keras.layers.Flatten), None)
    if flatten is None:
        raise ModelError("it has no Flatten layer")
    stages: list[tuple[keras.Layer, keras.Layer | None]] = []
    for layer in layers[:flatten]:
        _require_local(layer)
        if type(layer) in _CONVOLUTIONS:
            stages.append((layer, None))
        elif stages and stages[-1][1] is None:
            stages[-1] = (stages[-1][0], layer)
        else:
            raise ModelError(f"layer {layer.name!r} pools what no convolution has made")
    if not stages:
        raise ModelError("it has no convolution")
    return stages, layers[flatten:]


def _require_local(layer: keras.Layer) -> None:
    """Refuse a layer that a stage would not compute as Keras does."""
    if type(layer) not in _CONVOLUTIONS + _POOLINGS:
        raise ModelError(f"layer {layer.name!r} before Flatten is a {type(layer).__name__}")
    if type(layer) in _CONVOLUTIONS:
        expected: dict[str, Any] = {
            "padding": "same",
            "strides": (1, 1),
            "dilation_rate": (1, 1),
            "groups": 1,
            "activity_regularizer": None,
            "quantization_mode": None,
        }
        if layer.activation not in _ACTIVATIONS:
            raise ModelError(f"layer {layer.name!r} has an activation that is not of keras.activations")
    else:
        expected = {"padding": "valid", "strides": layer.pool_size}
    for key, value in {**expected, "data_format": "channels_last"}.items():
        actual = getattr(layer, key, None)
        if actual != value:
            raise ModelError(f"layer {layer.name!r} has {key}={actual!r}, not {value!r}")
