"""A convolution whose gradient with respect to its image is cheap."""

import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from fgf_keras.models.window.activation import activated

# The input gradient is computed in cells of this edge: one strided convolution gives CELL² values at once.
CELL = 4
# Above this number of input channels the library's own input gradient is fast.
FEW_CHANNELS = 4
# Gradients with respect to two arguments.
_Pair = tuple[tf.Tensor, tf.Tensor]


@keras.saving.register_keras_serializable(package="fgf_keras")
class Convolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with the same weights and numbers, faster where input gradients are taken.

    With one image channel, the library's input gradient of a convolution costs an order of magnitude more
    than its forward pass, and alignment needs it in every step. Here it is a strided convolution followed by
    depth-to-space: the same sums in another order. Applies to kernels of odd size with stride 1, "same"
    padding and few input channels; all other cases are left to Keras. Bias and ELU have cheap derivatives
    (`activated`); other activations are those of Keras.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """As in Keras."""
        if self.data_format != "channels_last":
            return super().call(inputs)
        outputs = self.convolution_op(inputs, self.kernel)
        return activated(outputs, self.bias if self.use_bias else None, self.activation)

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """As in Keras; differentiable any number of times."""
        cheap = (
            self.padding == "same"
            and self.data_format == "channels_last"
            and self.strides == (1, 1)
            and self.dilation_rate == (1, 1)
            and self.groups == 1
            and all(size % 2 for size in self.kernel_size)
            and inputs.shape[-1] <= FEW_CHANNELS
        )
        if not cheap:
            return super().convolution_op(inputs, kernel)
        return _convolution("SAME")(tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel))


def valid_convolution(image: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolution with stride 1 and no padding, (B, H, W, in) to (B, H - rows + 1, W - columns + 1, out).

    Differentiable any number of times; the input gradient is cheap if there are few input channels.
    """
    image, kernel = tf.convert_to_tensor(image), tf.convert_to_tensor(kernel)
    if kernel.shape[2] > FEW_CHANNELS:
        return tf.nn.conv2d(image, kernel, 1, "VALID")
    return _convolution("VALID")(image, kernel)


@functools.cache
def _convolution(padding: str) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The convolution with "SAME" (kernels of odd size) or "VALID" padding, with its own derivatives."""

    @tf.custom_gradient
    def convolve(image: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[..., _Pair]]:
        def gradient(upstream: tf.Tensor) -> _Pair:
            return input_gradient(upstream, kernel), kernel_gradient(image, kernel, upstream)

        return tf.nn.conv2d(image, kernel, 1, padding), gradient

    @tf.custom_gradient
    def input_gradient(upstream: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[..., _Pair]]:
        """The transpose of `convolve` as a function of the image."""

        # ⟨convolve(a, k), u⟩ = ⟨a, input_gradient(u, k)⟩ for every a, so each is the derivative of the other.
        def gradient(cotangent: tf.Tensor) -> _Pair:
            return convolve(cotangent, kernel), kernel_gradient(cotangent, kernel, upstream)

        rows, columns = kernel.shape[:2]
        flipped = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
        # One copy of the kernel for each position in a cell, shifted there; the outputs become channels.
        shifted = [
            tf.pad(flipped, [[i, CELL - 1 - i], [j, CELL - 1 - j], [0, 0], [0, 0]])
            for i in range(CELL)
            for j in range(CELL)
        ]
        # Without padding the image is larger than the outputs, and its border was read less often.
        more = [rows - 1, columns - 1] if padding == "VALID" else [0, 0]
        margin = [rows - 1, columns - 1] if padding == "VALID" else [rows // 2, columns // 2]
        height, width = (tf.shape(upstream)[i + 1] + more[i] for i in (0, 1))
        margins = [[margin[0], margin[0] + -height % CELL], [margin[1], margin[1] + -width % CELL]]
        padded = tf.pad(upstream, [[0, 0], *margins, [0, 0]])
        cells = tf.nn.conv2d(padded, tf.concat(shifted, axis=-1), CELL, "VALID")
        whole = tf.nn.depth_to_space(cells, CELL)[:, :height, :width]
        shape = [None if n is None else n + m for n, m in zip(upstream.shape[1:3], more)]
        return tf.ensure_shape(whole, [upstream.shape[0], *shape, kernel.shape[2]]), gradient

    def kernel_gradient(image: tf.Tensor, kernel: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.Conv2DBackpropFilter(
            input=image,
            filter_sizes=tf.shape(kernel),
            out_backprop=upstream,
            strides=[1, 1, 1, 1],
            padding=padding,
        )

    return convolve
