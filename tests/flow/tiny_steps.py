"""The reference for paths: tiny Euler steps in NumPy, float64."""

import numpy as np
import tensorflow as tf


def autodiff(function):
    """Score and gradient of a function of images."""

    def score(image, *context):
        with tf.GradientTape() as tape:
            tape.watch(image)
            z = function(image, *context)
        return z, tape.gradient(z, image)

    return score


def in_tiny_steps(z, x, fields, length, *, steps, block, most, bounded=False):
    """End, F of fixed fields and length of paths of tiny Euler steps.

    Args:
        z: function of images to scores.
        x: (B, H, W, C).
        fields: (B, 2, H, W, C).
        length: (B,), of the paths, about; it is taken in `steps` steps.
        steps, most: number of steps that it is divided into, and most of them in units of `steps`.
        block: number of steps over which directions are taken.
        bounded: whether to follow the projected gradient inside [0, 1].
    """
    score = tf.function(autodiff(z))
    x, step = np.array(x), np.array(length) / steps
    start = np.sign(score(tf.constant(x))[0].numpy())
    node, total, shares = x.copy(), np.zeros(len(x)), np.zeros((len(x), 2))
    alive = np.ones(len(x), bool)
    for k in range(most * steps):
        value, gradient = (t.numpy() for t in score(tf.constant(x)))
        crossed = alive & (value * start <= 0)
        closing = crossed | (alive & (k % block == 0))
        if closing.any():
            chord = x - node
            size = np.sqrt((chord**2).sum((1, 2, 3)))
            closing &= size > 0
            cross = np.einsum("bhwc,bmhwc->bm", chord, fields) ** 2
            cosine = cross / np.maximum(size, 1e-30)[:, None] ** 2 / (fields**2).sum((2, 3, 4))
            shares[closing] += (cosine * size[:, None])[closing]
            total[closing] += size[closing]
            node[closing] = x[closing]
        alive &= ~crossed
        if not alive.any():
            break
        downhill = -start[:, None, None, None] * gradient
        if bounded:
            downhill[((x <= 0) & (downhill < 0)) | ((x >= 1) & (downhill > 0))] = 0
        norm = np.sqrt((downhill**2).sum((1, 2, 3)))
        ahead = x + (step / norm)[:, None, None, None] * downhill
        x[alive] = (np.clip(ahead, 0, 1) if bounded else ahead)[alive]
    assert not alive.any()
    return x, shares / total[:, None], total
