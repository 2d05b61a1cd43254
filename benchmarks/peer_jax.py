"""The peer of benchmarks/peers.py in JAX: the gradient of a function of a gradient, compiled whole.

Everything is in the layout of Keras.
"""

import jax
import numpy as np
from jax import numpy as jnp
from peer import Clock, serve

REWARD_WEIGHT, EPSILON = 0.1, 1e-12
LAYOUT = ("NHWC", "HWIO", "NHWC")
EVERY = {}


def forward(weights, image):
    """Logits (B,)."""
    x = image
    for kernel, bias in zip(weights[:6:2], weights[1:6:2]):
        layout = ("NHWC", "HWIO", "NHWC")
        x = jax.nn.elu(
            jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout) + bias
        )
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height // 4, 4, width // 4, 4, channels).mean((2, 4))
    x = x.reshape(len(x), -1)
    for kernel, bias in zip(weights[6:-2:2], weights[7:-2:2]):
        x = jax.nn.elu(x @ kernel + bias)
    return (x @ weights[-2] + weights[-1])[:, 0]


def cross_entropy(logits, label):
    return jnp.mean(jnp.maximum(logits, 0) - logits * label + jnp.log1p(jnp.exp(-jnp.abs(logits))))


def plain_loss(weights, seen, mask, features, label):
    del mask, features
    return cross_entropy(forward(weights, seen), label)


def reward_loss(weights, seen, mask, features, label):
    """Task loss - weight·Σ mean S_i; features (B, m, H, W) are unit gradients on the mask."""

    def score(seen):
        logits = forward(weights, seen)
        return logits.sum(), logits

    gradient, logits = jax.grad(score, has_aux=True)(seen)
    gradient = (gradient * mask)[..., 0]
    size = (gradient * gradient).sum((1, 2))
    cross = (gradient[:, None] * features).sum((2, 3))
    alignment = cross * cross / (size + EPSILON)[:, None]
    return cross_entropy(logits, label) - REWARD_WEIGHT * alignment.mean(0).sum()


LOSSES = {"jax_plain_step": plain_loss, "jax_reward_step": reward_loss}
VALUES = {name: jax.jit(jax.value_and_grad(loss)) for name, loss in LOSSES.items()}


def trained(loss):
    """A step of Adam: (weights, state), batch to (weights, state), loss."""

    def update(model, *batch):
        weights, (count, means, squares) = model
        value, found = jax.value_and_grad(loss)(weights, *batch)
        count += 1
        means = [0.9 * m + 0.1 * g for m, g in zip(means, found)]
        squares = [0.999 * v + 0.001 * g * g for v, g in zip(squares, found)]
        rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        weights = [w - rate * m / (jnp.sqrt(v) + 1e-7) for w, m, v in zip(weights, means, squares)]
        return (weights, (count, means, squares)), value

    return jax.jit(update, donate_argnums=0)


STEPS = {name: trained(loss) for name, loss in LOSSES.items()}


def start(threads):
    """JAX takes as many threads as it may use cores: that is set for the process from outside."""
    del threads
    return {"version": f"JAX {jax.__version__}", "steps": list(STEPS)}


def set_weights(path):
    with np.load(path) as file:
        EVERY["start"] = [file[name] for name in sorted(file, key=int)]
    EVERY["models"] = {}
    for name in STEPS:
        weights = [jnp.array(array) for array in EVERY["start"]]
        state = jnp.zeros([]), *([jnp.zeros_like(weight) for weight in weights] for _ in range(2))
        EVERY["models"][name] = weights, state
    return {}


def set_batch(path):
    with np.load(path) as file:
        EVERY["batch"] = [jnp.array(file[name]) for name in ("seen", "mask", "features", "label")]
    return {}


def gradients(name, out):
    """Writes the gradients of all weights, and answers with the loss."""
    value, found = VALUES[name](EVERY["start"], *EVERY["batch"])
    np.savez(out, **{str(i): np.asarray(g) for i, g in enumerate(found)})
    return {"loss": float(value)}


def step(name):
    clock = Clock()
    EVERY["models"][name], loss = STEPS[name](EVERY["models"][name], *EVERY["batch"])
    jax.block_until_ready((EVERY["models"][name], loss))
    return clock.read()


if __name__ == "__main__":
    serve({f.__name__: f for f in (start, set_weights, set_batch, gradients, step)})
