"""The reward's weight gradient of a network by finite differences, beside that of a training step."""

import keras
import numpy as np
import tensorflow as tf

import fgf_keras


class NoTask(keras.losses.Loss):
    """A task loss that asks for nothing, so that a step is the reward's alone."""

    def call(self, labels, logits):
        del labels
        return 0.0 * tf.reduce_sum(logits, axis=-1)


# Steps in weight space: where rounding and the third derivative leave the smallest error together.
STEPS = {"float64": 1e-5, "float32": 1e-3}


def samples(shape, count=4, seed=0):
    """Images and masks (count, H, W, ·) of Keras's float type with tumours of different sizes."""
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    image = rng.uniform(0.1, 1, (count, height, width, channels))
    mask = np.zeros((count, height, width, 1))
    for k in range(count):
        mask[k, 1 : height - 1 - k % 2, k % 2 : width - 1] = 1
    return image.astype(keras.config.floatx()), mask.astype(keras.config.floatx())


def step_of(network, image, mask, **settings):
    """The reward's gradient (a list, one array per trainable variable), and the model that took the step."""
    features = [fgf_keras.Brightness(), fgf_keras.Extent()]
    settings = {"reward_weight": 1.0, "evaluation": "dense"} | settings
    model = fgf_keras.AlignmentModel(network, features, **settings)
    model.compile(keras.optimizers.SGD(1.0), NoTask(dtype=keras.config.floatx()), run_eagerly=True)
    before = [v.numpy().astype(np.float64) for v in network.trainable_variables]
    state = kept_state(network)
    inputs = {"image": tf.constant(image), "mask": tf.constant(mask)}
    model.train_step((inputs, tf.constant(np.arange(len(image)) % 2)))
    after = [v.numpy().astype(np.float64) for v in network.trainable_variables]
    for variable, value in zip(network.trainable_variables, before):
        variable.assign(value)
    restore(state)
    return [b - a for a, b in zip(before, after)], model


def kept_state(network):
    """Statistics, and states of random generators."""
    return [(v, v.numpy()) for v in network.non_trainable_variables]


def restore(state):
    for variable, value in state:
        variable.assign(value)


def sum_of_shares(jacobian, features):
    """Σ_i S_i of one sample from ∇z (R, P) and ∇g (m, P), by least squares."""
    total = 0.0
    for g in features:
        solution = np.linalg.lstsq(jacobian.T, g, rcond=None)[0]
        total += np.sum((jacobian.T @ solution) ** 2) / np.sum(g**2)
    return total


def reward_of(network, image, mask, section, formula=sum_of_shares):
    """A formula of brightness and extent, by default Σ_i S_i, averaged over the batch.

    The gradients of the features are those of this class's closed forms in NumPy, the section that of a tape.
    """
    seen = tf.constant(image * mask)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(seen)
        logits = section(network)(seen)
        scores = tf.unstack(logits @ contrasts(logits.shape[-1]) if logits.shape[-1] > 1 else logits, axis=1)
        totals = [tf.reduce_sum(score) for score in scores]
    rows = [(tape.gradient(total, seen).numpy() * mask).reshape(len(image), -1) for total in totals]
    jacobian = np.stack(rows, axis=1).astype(np.float64)
    flat = np.stack([g.reshape(len(image), -1) for g in feature_gradients(image, mask)], axis=1)
    return np.mean([formula(z, g) for z, g in zip(jacobian, flat.astype(np.float64))])


def contrasts(classes):
    """Orthonormal contrasts (K, K - 1), from a QR decomposition of the centring matrix."""
    return np.linalg.qr(np.eye(classes) - 1 / classes)[0][:, : classes - 1]


def feature_gradients(image, mask):
    """∇ of Σw/Σm and of √tr C for unit spacing, each (B, H, W, C), written down once more."""
    w = (image * mask).sum(axis=-1)
    rows, columns = np.meshgrid(*map(np.arange, w.shape[1:]), indexing="ij")
    brightness, extent = np.zeros_like(image), np.zeros_like(image)
    for b in range(len(image)):
        m, s = mask[b, ..., 0], w[b].sum()
        centre = [(w[b] * axis).sum() / s for axis in (rows, columns)]
        distance = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
        brightness[b] = (m / m.sum())[..., None]
        trace = (w[b] * distance).sum() / s
        extent[b] = (m * (distance - trace) / s / (2 * np.sqrt(trace)))[..., None]
    return brightness, extent


def difference_along(network, image, mask, section, direction, step=None, reward=reward_of):
    """(R(w + δv) - R(w - δv)) / 2δ along a direction in weight space, one array per trainable variable."""
    step = step or STEPS[keras.config.floatx()]
    before = [v.numpy() for v in network.trainable_variables]
    state = kept_state(network)
    rewards = []
    for sign in (1, -1):
        for variable, value, part in zip(network.trainable_variables, before, direction):
            variable.assign(value + sign * step * part)
        rewards.append(reward(network, image, mask, section))
        restore(state)
    for variable, value in zip(network.trainable_variables, before):
        variable.assign(value)
    return (rewards[0] - rewards[1]) / (2 * step)


def worst_error(network, shape, *, count=4, most=12, section=None, step=None, truth=reward_of, **settings):
    """max |gradient - difference| / max |difference| over directions, and the plan of the model.

    One random unit direction for each trainable variable (the first `most` of them), and one over all. The
    rewards are those of the model's own pass, unless `section`, a function of the network to a call, says so.
    `truth` is the reward, a function of (network, image, mask, section).
    """
    image, mask = samples(shape, count)
    gradient, model = step_of(network, image, mask, **settings)
    plan = model._plan
    rng = np.random.default_rng(1)
    directions = []
    for chosen in [*range(min(most, len(gradient))), None]:
        direction = [
            rng.normal(size=g.shape) if chosen in (i, None) else np.zeros(g.shape)
            for i, g in enumerate(gradient)
        ]
        norm = np.sqrt(sum(np.sum(d**2) for d in direction))
        directions.append([d / norm for d in direction])
    section = section or plan.passed
    truths = [difference_along(network, image, mask, section, d, step, truth) for d in directions]
    steps = [sum(np.sum(g * d) for g, d in zip(gradient, direction)) for direction in directions]
    return np.max(np.abs(np.subtract(truths, steps))) / np.max(np.abs(truths)), plan
