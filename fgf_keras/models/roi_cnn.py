"""A paper CNN computed where its image is not zero, and nowhere else.

The image is zero outside of the tumour, so at every layer the feature map equals that of the all-zero image,
the *background*, except in a window around the tumour. A stage (convolution, activation, pooling) is computed
on the window, which reads its surroundings from the background; the last window is put into the last
background; the dense layers follow. The background depends on the weights alone and is constant away from the
border of the canvas, so a few of its pixels stand for all. Nothing is approximated: values and derivatives of
any order in the weights and in the pixels of the window are those of the whole canvas.
"""

import inspect
from typing import NamedTuple

import keras
import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.geometry.windows import edges_of, inside_of, places, shift
from fgf_keras.models.average_pooling import AveragePooling
from fgf_keras.models.convolution import Convolution, valid_convolution

_CONVOLUTIONS = (Convolution, keras.layers.Conv2D)
_POOLINGS = (AveragePooling, keras.layers.AveragePooling2D, keras.layers.MaxPooling2D)
# Each acts on every pixel by itself, so that a window can be computed alone.
_ACTIVATIONS = [f for _, f in inspect.getmembers(keras.activations, inspect.isfunction)]


class RoiCnn:
    """The logits of a classifier from windows of its images, by the classifier's own layers and weights.

    Args:
        classifier: a `paper_cnn`, or any chain of Keras layers of its kind: convolutions with stride 1 and
            "same" padding, each perhaps followed by a pooling whose pools lie side by side; `Flatten`;
            then any layers.

    Raises:
        ModelError: the classifier is not of this kind; the message says where it differs.
    """

    def __init__(self, classifier):
        self._stages, self._head = _stages_and_head(_chain(classifier))
        self.compute_dtype = classifier.compute_dtype
        height, width, self._channels = classifier.input_shape[1:]
        self._maps = [(_Axis(height, 0, 0), _Axis(width, 0, 0))]
        for stage in self._stages:
            self._maps.append(tuple(axis.after(step) for axis, step in zip(self._maps[-1], stage.steps)))

    def at(self, origin):
        """The classifier of windows at origins (B, 2): a callable of (image, training) to logits."""
        return _RoiCnnAt(self, origin)

    def logits(self, window, origin, training=False):
        """Logits (B, 1) or (B, K) of images that are zero outside of a window.

        Args:
            window: (B, rows, columns, C), the image inside the window, which lies on the canvas.
            origin: (B, 2) int32, first row and column of each window.
            training: handed to the layers after the convolutions.
        """
        background = tf.zeros([1, 1, self._channels], window.dtype)
        for stage, before, after in zip(self._stages, self._maps, self._maps[1:]):
            # What the window can have an effect on, from which cell on, and what that reads.
            edges, corner, start, read = [], [], [], []
            for i, (step, axis, pixels) in enumerate(zip(stage.steps, after, edges_of(window))):
                edges.append(_least(step.cells(pixels), axis.size))
                corner.append(tf.clip_by_value(step.first_cell(origin[:, i]), 0, axis.size - edges[i]))
                start.append(step.pixel(corner[i]))
                read.append(step.pixels(edges[i]))
            few = [axis.read_by_few(step) for axis, step in zip(after, stage.steps)]
            window = stage(_view(before, background, window, origin, tf.stack(start, axis=1), read))
            background = stage(_view_of_background(before, background, few))[0]
            origin = tf.stack(corner, axis=1)
        last = self._maps[-1]
        outputs = _view(last, background, window, origin, tf.zeros_like(origin), [axis.size for axis in last])
        for layer in self._head:
            outputs = layer(outputs, training=training)
        return outputs


class _RoiCnnAt(NamedTuple):
    """`RoiCnn` for windows at fixed origins, in the form of a classifier."""

    network: RoiCnn
    origin: tf.Tensor

    def __call__(self, image, training=False):
        return self.network.logits(image, self.origin, training=training)

    @property
    def compute_dtype(self):
        return self.network.compute_dtype


class _Step(NamedTuple):
    """One axis of a stage: a kernel of some pixels, then cells of `pool` pixels, counted from pixel 0."""

    kernel: int
    pool: int

    @property
    def before(self):
        """Pixels that the kernel reads before its own place; Keras pads as many."""
        return (self.kernel - 1) // 2

    @property
    def behind(self):
        """Pixels that the kernel reads behind its own place."""
        return self.kernel // 2

    def cells(self, pixels):
        """The most cells that so many neighbouring pixels can have an effect on."""
        return (pixels + self.kernel + self.pool - 3) // self.pool + 1

    def first_cell(self, pixel):
        """The first cell that a pixel has an effect on."""
        return (pixel - self.behind) // self.pool

    def pixel(self, cell):
        """The first pixel that a cell reads."""
        return cell * self.pool - self.before

    def pixels(self, cells):
        """How many pixels neighbouring cells read."""
        return cells * self.pool + self.kernel - 1


class _Axis(NamedTuple):
    """One axis of a background map: `head` pixels that the border has changed, the inside, `tail` more.

    The inside is constant, so few pixels stand for all: head, one of the inside, tail.
    """

    size: int
    head: int
    tail: int

    @property
    def few(self):
        """Number of pixels that stand for all."""
        return min(self.size, self.head + 1 + self.tail)

    def after(self, step):
        """The same axis after a stage."""
        size = self.size // step.pool
        head = -(-(self.head + step.before) // step.pool)
        tail = size - (self.size - self.tail - step.behind) // step.pool
        return _Axis(size, min(head, size), min(tail, size))

    def among_few(self, pixels):
        """Which of the few stands for a pixel; none of them, -1, for a pixel off the canvas."""
        chosen = tf.minimum(pixels, tf.maximum(self.head, pixels - (self.size - self.few)))
        return tf.where((pixels >= 0) & (pixels < self.size), chosen, -1)

    def read_by_few(self, step):
        """The pixels before a stage, (1, n), that the few after it are computed from.

        They are neighbours where the few are. Between inside and tail pixels are left out, and both read
        across the gap: what they find there is of the inside too.
        """
        read = tf.range(step.pixels(self.few)) + step.pixel(0)
        gap = (self.size - self.few) * step.pool
        return tf.where(read < (self.head + 1) * step.pool, read, read + gap)[tf.newaxis]


class _Stage(NamedTuple):
    """Convolution, activation and pooling by layers of the classifier."""

    convolution: keras.layers.Layer
    pooling: keras.layers.Layer | None

    @property
    def steps(self):
        """Rows and columns."""
        pool = self.pooling.pool_size if self.pooling is not None else (1, 1)
        return [_Step(*sizes) for sizes in zip(self.convolution.kernel_size, pool)]

    def __call__(self, view):
        """Map of a view that has the pixels around it that the convolution reads."""
        layer = self.convolution
        # Outside of the layer's own call Keras does not cast its weights.
        dtype = layer.compute_dtype
        outputs = valid_convolution(tf.cast(view, dtype), tf.cast(layer.kernel, dtype))
        if layer.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.cast(layer.bias, dtype))
        outputs = layer.activation(outputs)
        return outputs if self.pooling is None else self.pooling(outputs)


def _view(axes, background, window, origin, start, edges):
    """A rectangle of a whole map from `start` on, (B, *edges, channels), zero off the canvas."""
    behind = _view_of_background(axes, background, places(start, edges))
    inside = inside_of(places(start - origin, edges), edges_of(window))
    return tf.where(inside, shift(window, start - origin, edges), behind)


def _view_of_background(axes, background, pixels):
    """Rows (B, h) and columns (B, w) of the background that few pixels (few, few, channels) stand for."""
    # By products with zeros and ones: their derivatives are products again, where a gather's are scattered.
    rows, columns = (
        tf.one_hot(axis.among_few(pixel), axis.few, dtype=background.dtype)
        for axis, pixel in zip(axes, pixels)
    )
    return tf.matmul(columns[:, tf.newaxis], tf.einsum("byr,rxc->byxc", rows, background))


def _least(a, b):
    return min(a, b) if isinstance(a, int) else tf.minimum(a, b)


def _chain(classifier):
    """The layers of a classifier, each of which takes the output of the one before it."""
    # A class of its own may do anything between its layers.
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


def _only(layer, end):
    try:
        return getattr(layer, end)
    except (AttributeError, ValueError):  # called several times, or never
        return None


def _stages_and_head(layers):
    """Stages, and `Flatten` with all layers after it."""
    flatten = next((i for i, layer in enumerate(layers) if type(layer) is keras.layers.Flatten), None)
    if flatten is None:
        raise ModelError("it has no Flatten layer")
    stages = []
    for layer in layers[:flatten]:
        _require_local(layer)
        if type(layer) in _CONVOLUTIONS:
            stages.append(_Stage(layer, None))
        elif stages and stages[-1].pooling is None:
            stages[-1] = stages[-1]._replace(pooling=layer)
        else:
            raise ModelError(f"layer {layer.name!r} pools what no convolution has made")
    return stages, layers[flatten:]


def _require_local(layer):
    """Refuse a layer that a stage does not compute as Keras does."""
    if type(layer) not in _CONVOLUTIONS + _POOLINGS:
        raise ModelError(f"layer {layer.name!r} before Flatten is a {type(layer).__name__}")
    if type(layer) in _CONVOLUTIONS:
        expected = {
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
        found = getattr(layer, key, None)
        if found != value:
            raise ModelError(f"layer {layer.name!r} has {key}={found!r}, not {value!r}")
