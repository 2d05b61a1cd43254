"""A convolution whose gradient with respect to its image is cheap."""

import keras
import tensorflow as tf

# The input gradient is computed in cells of this edge: one strided convolution makes CELL² values at once.
CELL = 4
# Above this number of input channels the library's own input gradient has enough to do to be fast.
FEW_CHANNELS = 4


@keras.saving.register_keras_serializable(package="fgf_keras")
class Convolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with the same weights and numbers, faster where input gradients are taken.

    With one image channel, the library's input gradient of a convolution costs an order of magnitude more
    than its forward pass, and alignment takes it in every step. Here it is a strided convolution followed by
    depth-to-space, the same sums in another order. Applies to stride 1, "same" padding and few input
    channels; all other cases are Keras's own. Adds the bias with `tf.nn.bias_add`, whose gradient is one
    reduction.
    """

    def call(self, inputs):
        """As Keras."""
        outputs = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def convolution_op(self, inputs, kernel):
        """As Keras; differentiable any number of times."""
        plain = (
            self.padding == "same"
            and self.data_format == "channels_last"
            and self.strides == (1, 1)
            and self.dilation_rate == (1, 1)
            and self.groups == 1
        )
        if not plain or inputs.shape[-1] > FEW_CHANNELS:
            return super().convolution_op(inputs, kernel)
        margins = [[(size - 1) // 2, size // 2] for size in self.kernel_size]
        outputs = valid_convolution(tf.pad(inputs, [[0, 0], *margins, [0, 0]]), kernel)
        return tf.ensure_shape(outputs, [*inputs.shape[:3], kernel.shape[-1]])


def valid_convolution(image, kernel):
    """Convolution with stride 1 and no padding, (B, H, W, in) to (B, H - rows + 1, W - columns + 1, out).

    Differentiable any number of times; its input gradient is cheap where there are few input channels.
    """
    image, kernel = tf.convert_to_tensor(image), tf.convert_to_tensor(kernel)
    if kernel.shape[2] > FEW_CHANNELS:
        return tf.nn.conv2d(image, kernel, 1, "VALID")
    return _convolve(image, kernel)


@tf.custom_gradient
def _convolve(image, kernel):
    def gradient(upstream):
        return _input_gradient(upstream, kernel), _kernel_gradient(image, kernel, upstream)

    return tf.nn.conv2d(image, kernel, 1, "VALID"), gradient


@tf.custom_gradient
def _input_gradient(upstream, kernel):
    """The transpose of `_convolve` in its image, (B, h, w, out) to (B, h + rows - 1, w + columns - 1, in)."""

    # ⟨_convolve(a, k), u⟩ = ⟨a, _input_gradient(u, k)⟩ for every a: so each is the other's derivative.
    def gradient(cotangent):
        return _convolve(cotangent, kernel), _kernel_gradient(cotangent, kernel, upstream)

    rows, columns = kernel.shape[:2]
    flipped = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    # The kernel once for each place in a cell, shifted there: their outputs become channels.
    shifted = [
        tf.pad(flipped, [[i, CELL - 1 - i], [j, CELL - 1 - j], [0, 0], [0, 0]])
        for i in range(CELL)
        for j in range(CELL)
    ]
    height, width = tf.shape(upstream)[1] + rows - 1, tf.shape(upstream)[2] + columns - 1
    margins = [[rows - 1, rows - 1 + -height % CELL], [columns - 1, columns - 1 + -width % CELL]]
    padded = tf.pad(upstream, [[0, 0], *margins, [0, 0]])
    cells = tf.nn.conv2d(padded, tf.concat(shifted, axis=-1), CELL, "VALID")
    return tf.nn.depth_to_space(cells, CELL)[:, :height, :width], gradient


def _kernel_gradient(image, kernel, upstream):
    return tf.raw_ops.Conv2DBackpropFilter(
        input=image,
        filter_sizes=tf.shape(kernel),
        out_backprop=upstream,
        strides=[1, 1, 1, 1],
        padding="VALID",
    )
