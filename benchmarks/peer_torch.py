"""The peer of benchmarks/peers.py in PyTorch: double backprop, as its documentation has it.

Images are (B, 1, H, W), and weights are given and gradients returned in the layout of Keras.
"""

import os
import shutil

# Threads that spin while they wait for one that other programs hold up cost several times the step itself.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from captum.attr import IntegratedGradients
from peer import Clock, serve
from torch.nn import functional

REWARD_WEIGHT, EPSILON = 0.1, 1e-12
FORMAT = torch.channels_last  # faster than the default here
EVERY = {}


def forward(weights, image):
    """Logits (B,)."""
    x = image
    for kernel, bias in zip(weights[:6:2], weights[1:6:2]):
        x = functional.avg_pool2d(functional.elu(functional.conv2d(x, kernel, bias, padding="same")), 4)
    x = x.permute(0, 2, 3, 1).flatten(1)  # Keras flattens the channels last
    for kernel, bias in zip(weights[6:-2:2], weights[7:-2:2]):
        x = functional.elu(x @ kernel + bias)
    return (x @ weights[-2] + weights[-1])[:, 0]


def plain_loss(weights, seen, mask, features, label):
    del mask, features
    return functional.binary_cross_entropy_with_logits(forward(weights, seen), label)


def reward_loss(weights, seen, mask, features, label):
    """Task loss - weight·Σ mean S_i; features (B, m, H, W) are unit gradients on the mask."""
    seen = seen.detach().requires_grad_()
    logits = forward(weights, seen)
    (gradient,) = torch.autograd.grad(logits.sum(), seen, create_graph=True)
    return aligned_loss(logits, gradient, mask, features, label)


def functional_reward_loss(weights, seen, mask, features, label):
    """The same by torch.func, which torch.compile can look through."""

    def score(seen):
        logits = forward(weights, seen)
        return logits.sum(), logits

    gradient, logits = torch.func.grad(score, has_aux=True)(seen)
    return aligned_loss(logits, gradient, mask, features, label)


def aligned_loss(logits, gradient, mask, features, label):
    gradient = gradient * mask
    size = (gradient * gradient).sum((1, 2, 3))
    cross = (gradient * features).sum((2, 3))
    alignment = cross * cross / (size + EPSILON)[:, None]
    task = functional.binary_cross_entropy_with_logits(logits, label)
    return task - REWARD_WEIGHT * alignment.mean(0).sum()


def by_tape(loss):
    def gradients(weights, *batch):
        value = loss(weights, *batch)
        return torch.autograd.grad(value, weights), value

    return gradients


def compiled(loss):
    return torch.compile(torch.func.grad_and_value(loss), dynamic=False)


STEPS = {"torch_plain_step": by_tape(plain_loss), "torch_reward_step": by_tape(reward_loss)}
if shutil.which(os.environ.get("CXX", "g++")):  # torch.compile writes C++
    STEPS["torch_compiled_reward_step"] = compiled(functional_reward_loss)


def start(threads):
    torch.set_num_threads(threads)
    return {"version": f"PyTorch {torch.__version__}", "steps": list(STEPS)}


def weights_from(path):
    with np.load(path) as file:
        arrays = [torch.from_numpy(file[name]) for name in sorted(file, key=int)]
    return [a.permute(3, 2, 0, 1).contiguous(memory_format=FORMAT) if a.ndim == 4 else a for a in arrays]


def set_weights(path):
    """Each step trains weights of its own, from the same start."""
    EVERY["models"] = {}
    for name in STEPS:
        weights = [weight.requires_grad_() for weight in weights_from(path)]
        EVERY["models"][name] = weights, torch.optim.Adam(weights, lr=1e-3, eps=1e-7, fused=True)
    return {}


def set_batch(path):
    with np.load(path) as file:
        arrays = [torch.from_numpy(file[name]) for name in ("seen", "mask", "features", "label")]
    seen, mask = (a.permute(0, 3, 1, 2).contiguous(memory_format=FORMAT) for a in arrays[:2])
    EVERY["batch"] = seen, mask, *arrays[2:]
    return {}


def gradients(name, out):
    """Writes the gradients of all weights, and answers with the loss."""
    weights, _ = EVERY["models"][name]
    found, loss = STEPS[name](weights, *EVERY["batch"])
    found = [g.permute(2, 3, 1, 0) if g.ndim == 4 else g for g in found]
    np.savez(out, **{str(i): g.detach().numpy() for i, g in enumerate(found)})
    return {"loss": loss.item()}


def step(name):
    weights, optimizer = EVERY["models"][name]
    clock = Clock()
    found, loss = STEPS[name](weights, *EVERY["batch"])
    for weight, gradient in zip(weights, found):
        weight.grad = gradient
    optimizer.step()
    loss.item()
    return clock.read()


def attribute(evaluations):
    """Integrated gradients of the batch from a black image, in so many gradient evaluations a patient."""
    weights, _ = EVERY["models"]["torch_plain_step"]
    seen = EVERY["batch"][0]
    weights = [weight.detach() for weight in weights]
    method = IntegratedGradients(lambda image: forward(weights, image))
    clock = Clock()
    method.attribute(seen, n_steps=evaluations, internal_batch_size=len(seen))
    return clock.read()


if __name__ == "__main__":
    serve({f.__name__: f for f in (start, set_weights, set_batch, gradients, step, attribute)})
