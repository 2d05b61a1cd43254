"""How far steps are from what this machine can do at most: floating-point operations over measured rates.

Counted are the operations of convolutions and dense layers: forward, gradient of the input, gradient of the
kernel, as often as a step needs each. With the reward, that is a forward pass and the gradient of the image,
and their derivative: another forward pass (in the direction in which the reward asks the gradient to change),
another gradient of the input and two of the kernels. In a window the sizes are those that `RoiCnn` takes.

A layer's rate is the best that TensorFlow reaches here, over several repeats, in any of its three
convolutions at this layer's shape, with the whole batch on the canvas; dense layers count at the rate of a
large matrix product. Memory's rate is that of adding large arrays. The floor of a step is its operations over
these rates, and what must be moved however it is computed, over memory's: image, mask, and weights with their
gradients and Adam's moments. Activations, poolings and feature maps between layers count nothing: no step
reaches its floor. Rates are by the seconds of the cores, as if all were busy all the time, since what other
programs take is no limit of the machine. Distances of steps are given for the time on the wall and for the
seconds of the cores. All is measured in one process, steps in turn.

    python benchmarks/limit.py [--size 512] [--batch 16] [--tumour 48] [--repeats 5]
"""

import argparse
import json
import os
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from measuring import Inputs, compiled, network
from peers import THREADS, interleaved, medians, models, on_two_cores, phantom_batch, timed
from training_step import REFERENCE, keras_network, roi_plain_step

from fgf_keras.geometry.windows import window_around
from fgf_keras.models.input_gradient import section_gradients
from fgf_keras.models.window.roi_cnn import RoiCnn

# How often a step takes each: forward passes, gradients of inputs, of those that of the image, of kernels.
PASSES = {
    "plain": (1, 1, 0, 1),
    "input_gradient": (1, 1, 1, 0),
    "reward": (2, 2, 1, 2),
}


class Maps(NamedTuple):
    """What a convolution computes: images, rows, columns, input and output channels, edge of the kernel."""

    images: int
    rows: int
    columns: int
    inputs: int
    outputs: int
    kernel: int

    @property
    def operations(self):
        """Of one pass: a multiplication and an addition for each weight at each place."""
        return 2 * self.images * self.rows * self.columns * self.inputs * self.outputs * self.kernel**2


def on_canvas(classifier, batch):
    """The convolutions of a classifier on the whole canvas."""
    return [
        Maps(batch, *layer.output.shape[1:3], *layer.kernel.shape[2:], layer.kernel.shape[0])
        for layer in classifier.layers
        if hasattr(layer, "kernel_size")
    ]


def in_window(classifier, batch, edges):
    """The same in a window, with the pixels of the background that stand for all: several for each layer."""
    result = []
    for whole, stage in zip(on_canvas(classifier, 1), RoiCnn(classifier)._stages):
        cells = [step.cells(edge) for step, edge in zip(stage.steps, edges)]
        few = [step.after.few for step in stage.steps]
        pools = [step.pool for step in stage.steps]
        result.append(
            [
                whole._replace(images=images, rows=rows * pools[0], columns=columns * pools[1])
                for images, (rows, columns) in ((batch, cells), (1, few))
            ]
        )
        edges = cells
    return result


def window_edges(mask):
    """Rows and columns of the window that `Placement` takes for a batch."""
    return [int(edge) for edge in window_around(tf.constant(mask))[1]]


def best(function, repeats):
    """Least seconds of a graph of no arguments, if it kept all cores busy."""
    graph = tf.function(function)
    return min(timed(graph)["cpu_seconds"] for _ in range(repeats + 1)) / THREADS


def convolution_rates(maps, repeats):
    """Operations a second of the three convolutions at a shape."""
    image = tf.random.normal([maps.images, maps.rows, maps.columns, maps.inputs])
    kernel = tf.random.normal([maps.kernel, maps.kernel, maps.inputs, maps.outputs])
    upstream = tf.random.normal([maps.images, maps.rows, maps.columns, maps.outputs])
    operands = {"strides": [1, 1, 1, 1], "padding": "SAME"}

    def forward():
        return tf.nn.conv2d(image, kernel, **operands)

    def input_gradient():
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=image.shape, filter=kernel, out_backprop=upstream, **operands
        )

    def kernel_gradient():
        return tf.raw_ops.Conv2DBackpropFilter(
            input=image, filter_sizes=kernel.shape, out_backprop=upstream, **operands
        )

    def one(function):
        # One number is read, so that copying the result out is not measured.
        return maps.operations / best(lambda: function()[0, 0, 0, 0], repeats)

    return [one(function) for function in (forward, input_gradient, kernel_gradient)]


def matrix_rate(repeats, edge=3072):
    """Operations a second of a product of large matrices."""
    a, b = tf.random.normal([edge, edge]), tf.random.normal([edge, edge])
    return 2 * edge**3 / best(lambda: (a @ b)[0, 0], repeats)


def memory_rate(repeats, count=2**27):
    """Bytes a second: two arrays read and a third written, each larger than any cache."""
    a, b = tf.random.normal([count]), tf.random.normal([count])
    return 3 * 4 * count / best(lambda: (a + b)[0], repeats)


def operations_by_layer(layers, dense, passes):
    """Operations of a step: of each convolution a number, and of the dense layers together."""
    forward, inputs, image, kernels = passes
    counts = [
        sum(maps.operations for maps in many) * (forward + kernels + (inputs if number else image))
        for number, many in enumerate(layers)
    ]
    return [*counts, dense * (forward + inputs + kernels)]


def compulsory_bytes(classifier, batch, pixels, trains):
    """Image and mask once, weights once; where they are trained, twice, and gradients and moments."""
    weights = classifier.count_params()
    # Read: weight, two moments, gradient; written: the same.
    return 4 * (2 * batch * pixels + weights * (8 if trains else 1))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="canvas, px")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tumour", type=int, default=48, help="length of the tumours, px")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    on_two_cores()
    size, batch = arguments.size, arguments.batch
    image, mask, label = phantom_batch(size, batch, arguments.tumour, np.random.default_rng(0))
    edges = window_edges(mask)

    classifier = network(size)
    canvas, window = on_canvas(classifier, batch), in_window(classifier, batch, edges)
    print(f"{size}x{size}, batch {batch}, window {edges[0]}x{edges[1]}, TensorFlow {tf.__version__}\n")
    print(f"{'GFLOP/s':32}{'forward':>14}{'input grad.':>14}{'kernel grad.':>14}")
    rates = []
    for number, maps in enumerate(canvas, 1):
        found = convolution_rates(maps, arguments.repeats)
        print(f"{f'convolution {number}':32}" + "".join(f"{rate / 1e9:14.0f}" for rate in found))
        rates.append(max(found))
    rates.append(matrix_rate(arguments.repeats))
    bandwidth = memory_rate(arguments.repeats)
    print(f"{'matrix product':32}{rates[-1] / 1e9:14.0f}\n\nmemory {bandwidth / 1e9:.0f} GB/s")
    dense = sum(
        2 * batch * int(np.prod(layer.kernel.shape)) for layer in classifier.layers if hasattr(layer, "units")
    )

    runs = measured_steps(size, image, mask, label)
    rows = medians(interleaved({name: run for name, (_, _, run) in runs.items()}, arguments.repeats))
    print(f"\n{'':32}{'GFLOP':>10}{'floor ms':>10}{'ms':>10}{'floors':>10}{'CPU ms':>10}{'floors':>10}")
    for name, (passes, is_window, _) in runs.items():
        layers = window if is_window else [[maps] for maps in canvas]
        counts = operations_by_layer(layers, dense, PASSES[passes])
        pixels = int(np.prod(edges)) if is_window else size**2
        moved = compulsory_bytes(classifier, batch, pixels, trains=passes != "input_gradient")
        floor = sum(count / rate for count, rate in zip(counts, rates)) + moved / bandwidth
        row = rows[name]
        row.update(operations=sum(counts), floor_s=floor, ratio=row["median_s"] / floor)
        row["cpu_ratio"] = row["cpu_s"] / THREADS / floor
        print(
            f"{name:32}{sum(counts) / 1e9:10.1f}{1000 * floor:10.1f}{1000 * row['median_s']:10.1f}"
            f"{row['ratio']:10.1f}{1000 * row['cpu_s']:10.1f}{row['cpu_ratio']:10.1f}"
        )
    print(
        "\n"
        + json.dumps({name: {k: float(f"{v:.4g}") for k, v in row.items()} for name, row in rows.items()})
    )


def measured_steps(size, image, mask, label):
    """By name: which of `PASSES`, whether in the window, and a function of no arguments that times it."""
    seen, inputs = image * mask, {"image": image, "mask": mask}
    own = models(size)
    own["plain_step"] = compiled(network(size))
    kinds = {
        REFERENCE: ("plain", False, seen),
        "plain_step": ("plain", False, seen),
        "reward_dense": ("reward", False, inputs),
        "roi_reward_step": ("reward", True, inputs),
    }
    runs, constant = {}, tf.constant(seen)
    for name, (passes, is_window, taken) in kinds.items():
        own[name].make_train_function()
        data = iter(tf.data.Dataset.from_tensors((taken, label)).repeat())
        runs[name] = passes, is_window, lambda name=name, data=data: timed(own[name].train_function, data)
    for name, classifier in {
        "keras_input_gradient": keras_network(size),
        "input_gradient": network(size),
    }.items():
        graph = tf.function(lambda c=classifier: section_gradients(c, constant)[1])
        runs[name] = "input_gradient", False, lambda graph=graph: timed(graph)
    plain = roi_plain_step(Inputs(size, *(tf.constant(array) for array in (image, mask, label))))
    runs["roi_plain_step"] = "plain", True, lambda: timed(plain)
    return runs


if __name__ == "__main__":
    main()
