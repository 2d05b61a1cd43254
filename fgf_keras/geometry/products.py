"""Inner products over the pixels of a support: the only reductions over pixels in alignment."""

import tensorflow as tf

# Where gradients are compared: inside the tumour, or over the whole canvas.
SUPPORTS = ("mask", "image")


def on_support(field: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """Restrict fields to a support.

    Args:
        field: (B, …, C), or a stack of fields (B, k, …, C).
        mask: (B, …, 1) in {0, 1}, or None for everywhere.

    Returns:
        The field, zero outside the mask.
    """
    if mask is None:
        return field
    mask = tf.cast(mask, field.dtype)
    return field * (mask[:, tf.newaxis] if len(field.shape) > len(mask.shape) else mask)


def inner(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """⟨a, b⟩ per sample: two fields (B, ...) to (B,). Half precision is summed in float32."""
    a, b = _at_least_float32(a), _at_least_float32(b)
    return tf.reduce_sum(a * b, axis=range(1, len(a.shape)))


def inner_products(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """⟨a_i, b_j⟩ of two stacks of fields: (B, k, ...) and (B, m, ...) to (B, k, m).

    Half precision is summed in float32.
    """
    a, b = _flat(_at_least_float32(a)), _flat(_at_least_float32(b))
    return tf.matmul(a, b, transpose_b=True)


def weighted_sum(weights: tf.Tensor, fields: tf.Tensor) -> tf.Tensor:
    """Σ_i weights_i fields_i: (B, k, m) and (B, m, …, C) to (B, k, …, C)."""
    flat = tf.matmul(weights, _flat(fields))
    shape = tf.concat([tf.shape(weights)[:2], tf.shape(fields)[2:]], axis=0)
    return tf.reshape(flat, shape)


def _flat(stack: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(stack)
    return tf.reshape(stack, [shape[0], stack.shape[1] or shape[1], tf.reduce_prod(shape[2:])])


def _at_least_float32(tensor: tf.Tensor) -> tf.Tensor:
    tensor = tf.convert_to_tensor(tensor)
    return tf.cast(tensor, tf.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else tensor


def norm_of(field: tf.Tensor) -> tf.Tensor:
    """‖field‖ over pixels and channels, (B,)."""
    return tf.sqrt(inner(field, field))


def per_sample(values: tf.Tensor, field: tf.Tensor) -> tf.Tensor:
    """Values (B,) reshaped to (B, 1, …), to broadcast against a field."""
    return tf.reshape(values, [-1] + [1] * (len(field.shape) - 1))
