"""The reference for S, slopes and F: a plain gradient tape in float64, NumPy's least squares, small steps."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Shares(NamedTuple):
    """What `explain` must find: score (N,), S (N, m), S_joint (N,), slope (N, m)."""

    score: np.ndarray
    S: np.ndarray
    S_joint: np.ndarray
    slope: np.ndarray


def brightness(image, mask):
    """Mean over the mask and the channels."""
    axes = list(range(1, len(image.shape)))
    return tf.reduce_sum(image * mask, axes) / tf.reduce_sum(mask, axes) / image.shape[-1]


def extent(image, mask):
    """Root-mean-square distance from the centre of mass; negative where tr C is, on a path."""
    mass = tf.reduce_mean(image * mask, axis=-1)
    axes = list(range(1, len(mass.shape)))
    total = tf.reduce_sum(mass, axes, keepdims=True)
    spread = 0.0
    for place in np.indices(mass.shape[1:]).astype(np.float64):
        centre = tf.reduce_sum(mass * place, axes, keepdims=True) / total
        spread += tf.reduce_sum(mass * (place - centre) ** 2, axes) / tf.reshape(total, [-1])
    return tf.sign(spread) * tf.sqrt(tf.abs(spread))


def size(image):
    """Sum of squares."""
    return tf.reduce_sum(image**2, axis=list(range(1, len(image.shape))))


def first_column(image, mask):
    """The first column of a table, or the first channel at the first place of anything else."""
    return tf.reshape(image * mask, [tf.shape(image)[0], -1])[:, 0]


def gradient(function, image):
    """Values and gradients, flattened to (N, d)."""
    with tf.GradientTape() as tape:
        tape.watch(image)
        values = function(image)
    return values, tf.reshape(tape.gradient(values, image), [tf.shape(image)[0], -1])


def decision(logits, classes):
    """The score of a decision: the logit of two classes, else the margin of two given classes (N, 2)."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    if logits.shape[1] == 2:
        return logits[:, 1] - logits[:, 0]
    top, other = tf.unstack(tf.constant(classes, tf.int32), axis=1)
    return tf.gather(logits, top, batch_dims=1) - tf.gather(logits, other, batch_dims=1)


def targeted(logits, target):
    """The score of a target: a class against all others, or against one, as (N, 1)."""
    if target is None:
        return logits
    if logits.shape[1] == 1:
        return logits if target in (1, (1, 0)) else -logits
    if isinstance(target, tuple):
        return (logits[:, target[0]] - logits[:, target[1]])[:, tf.newaxis]
    probability = tf.nn.softmax(logits)[:, target]
    return tf.math.log(probability / (1 - probability))[:, tf.newaxis]


def closest(logits):
    """The most probable two classes (N, 2)."""
    return np.argsort(-logits.numpy(), axis=1)[:, :2]


def shares(logits_of, image, mask, features):
    """`Shares` at the samples.

    Args:
        logits_of: function of the image to logits (N, K), float64.
        image, mask: float64 tensors.
        features: functions of (image, mask).
    """
    inside = np.broadcast_to(mask.numpy(), image.shape).reshape(len(image), -1)
    logits = logits_of(image)
    score, slope_gradient = gradient(lambda x: decision(logits_of(x), closest(logits)), image)
    count = logits.shape[1]
    section = [slope_gradient.numpy()]
    if count > 2:
        section = [gradient(lambda x, k=k: logits_of(x)[:, k], image)[1].numpy() for k in range(count)]
        section = [one - section[-1] for one in section[:-1]]
    section = np.stack(section, axis=1) * inside[:, None]
    of_features = [gradient(lambda x, f=f: f(x, mask), image)[1].numpy() for f in features]
    of_features = np.stack(of_features, axis=1) * inside[:, None]
    found = [
        _one(rows, named, whole * on)
        for rows, named, whole, on in zip(section, of_features, slope_gradient.numpy(), inside)
    ]
    return Shares(score.numpy(), *(np.stack(values) for values in zip(*found)))


def _one(section, features, decision_gradient):
    basis = np.linalg.qr(section.T)[0]
    single = ((features @ basis) ** 2).sum(axis=1) / (features**2).sum(axis=1)
    # How much of each orthonormal direction of the section least squares finds in the features.
    coefficients = np.linalg.lstsq(features.T, basis, rcond=None)[0]
    joint = 1 - ((basis - features.T @ coefficients) ** 2).sum() / basis.shape[1]
    slope = np.linalg.lstsq(features.T, decision_gradient, rcond=None)[0]
    return single, joint, slope


def flow_shares(logits_of, image, mask, features, *, steps=60):
    """F (N, m), F_joint (N,) and the arc length (N,): Runge-Kutta steps of equal fall of the score.

    x' = -z(x₀) ∇z/‖∇z‖² on [0, 1] ends on the boundary; S is averaged over the arc length by Simpson's rule.
    """
    logits = logits_of(image)
    pair, fields = closest(logits), [lambda x, f=f: f(x, mask) for f in features]
    inside = tf.reshape(mask * tf.ones_like(image), [len(image), -1])

    @tf.function(autograph=False)
    def seen(x):
        z, slope = gradient(lambda at: decision(logits_of(at), pair), x)
        return z, slope * inside, tf.stack([gradient(f, x)[1] * inside for f in fields], axis=1)

    start, nodes, lengths = seen(image)[0].numpy(), [], []
    x = image.numpy()
    for k in range(steps + 1):
        _, slope, named = (t.numpy() for t in seen(tf.constant(x)))
        nodes.append([_along(one, rows) for one, rows in zip(slope, named)])
        lengths.append(np.abs(start) / np.linalg.norm(slope, axis=1))
        if k < steps:
            x = _runge_kutta(seen, x, start / steps)
    assert np.abs(seen(tf.constant(x))[0].numpy()).max() < 1e-6 * np.abs(start).max()
    weights = np.array(lengths) * np.array([1, *[4, 2] * (steps // 2 - 1), 4, 1])[:, None] / (3 * steps)
    means = (np.array(nodes) * weights[:, :, None]).sum(axis=0) / weights.sum(axis=0)[:, None]
    return means[:, :-1], means[:, -1], weights.sum(axis=0)


def _runge_kutta(seen, x, fall):
    def direction(at):
        slope = seen(tf.constant(at))[1].numpy()
        return (-fall[:, None] * slope / (slope**2).sum(axis=1, keepdims=True)).reshape(x.shape)

    first = direction(x)
    second = direction(x + first / 2)
    third = direction(x + second / 2)
    return x + (first + 2 * second + 2 * third + direction(x + third)) / 6


def _along(slope, features):
    single = (features @ slope) ** 2 / ((features**2).sum(axis=1) * (slope @ slope))
    rest = slope - features.T @ np.linalg.lstsq(features.T, slope, rcond=None)[0]
    return [*single, 1 - (rest @ rest) / (slope @ slope)]
